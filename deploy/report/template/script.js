"use strict";
(() => {
  const root = document.documentElement;

  const themes = ["automatic", "light", "dark"];
  const button = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem("esrdeploy-theme"); } catch { return null; } };
  const store = (name) => { try { localStorage.setItem("esrdeploy-theme", name); } catch { /* a page from a file may have no storage */ } };
  const showTheme = (name) => {
    if (name === "automatic") root.removeAttribute("data-theme"); else root.dataset.theme = name;
    button.lastElementChild.textContent = `Theme: ${name}`;
    button.dataset.name = name;
  };
  button.hidden = false;
  showTheme(themes.includes(stored()) ? stored() : "automatic");
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.dataset.name) + 1) % themes.length];
    showTheme(next);
    store(next);
  });

  const compares = [...document.querySelectorAll(".compare")];
  const move = (compare, percent) => {
    const at = Math.min(100, Math.max(0, percent));
    compare.style.setProperty("--at", `${at}%`);
    compare.querySelector("input").value = at;
    compare.querySelector(".tag-left").style.opacity = at < 14 ? 0 : 1;
    compare.querySelector(".tag-right").style.opacity = at > 86 ? 0 : 1;
  };
  const follow = (compare, event) => {
    const box = compare.querySelector(".stage").getBoundingClientRect();
    move(compare, 100 * (event.clientX - box.left) / box.width);
  };

  for (const compare of compares) {
    const stage = compare.querySelector(".stage");
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      follow(compare, event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) follow(compare, event);
    });
    compare.querySelector("input").addEventListener("input", (event) => move(compare, Number(event.target.value)));
    compare.classList.add("ready");
    move(compare, 50);
  }

  const chosen = (side) => document.querySelector(`input[name="${side}"]:checked`).value;
  const show = () => {
    for (const compare of compares) {
      const labels = {};
      for (const side of ["left", "right"]) {
        for (const layer of compare.querySelectorAll(".layer")) {
          const on = layer.dataset.version === chosen(side);
          layer.classList.toggle(`is-${side}`, on);
          if (on) labels[side] = layer.dataset.label;
        }
        compare.querySelector(`.tag-${side}`).textContent = labels[side];
      }
      compare.querySelector("input").setAttribute("aria-label", `Divider: ${labels.left} left of it, ${labels.right} right of it, in percent`);
    }
  };
  const choices = document.getElementById("choices");
  if (choices) {
    choices.hidden = false;
    choices.addEventListener("change", show);
    show();
  }
})();
