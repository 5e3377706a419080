"""The page itself: in a real browser, with mouse, touch and keyboard, in both themes."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.images import write_image
from calib.sample import sample_patches
from deploy.artifacts.files import REPORT_NAME
from deploy.progress import Silent
from deploy.report import remake_report
from tests.deploy.builds import copied, run

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844, "touch": True}

AT = "getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')"
STAGE = """(() => {
  const stage = document.querySelector(".stage");
  stage.scrollIntoView({block: "center"});
  const box = stage.getBoundingClientRect();
  return [box.left, box.top, box.width, box.height];
})()"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def page(built: Path) -> Path:
    return built / REPORT_NAME


def lightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / (3 * 255)


def at(browser) -> float:
    """Where the divider stands, in percent."""
    return float(browser.evaluate(AT).rstrip("%"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_loads_without_a_complaint_or_a_request(browser, page, device, dark) -> None:
    browser.open(page, **device, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    # Nothing is wider than the screen, and every picture is there.
    assert browser.evaluate("document.documentElement.scrollWidth") == device["width"]
    assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert (lightness(browser.evaluate(BACKGROUND)) < 0.3) == dark


ROWS = """[...document.querySelectorAll(".strip")].map(strip => {
  const tops = [...strip.children].map(child => child.offsetTop);
  return [tops.length, tops.filter(top => top === Math.max(...tops)).length];
})"""


@pytest.mark.parametrize("width", [1280, 860, 480, 390])
def test_no_picture_stands_alone_in_its_row(browser, page, width: int) -> None:
    browser.open(page, width=width, height=900, dark=False)
    strips = browser.evaluate(ROWS)
    assert {count for count, _ in strips} == {4, 2}
    assert all(last > 1 for _, last in strips)


def test_the_verdict_is_seen_first(browser, page) -> None:
    browser.open(page, **PHONE, dark=False)
    top, bottom = browser.evaluate(
        "(b => [b.top, b.bottom])(document.querySelector('.verdict').getBoundingClientRect())"
    )
    assert 0 < top < bottom < PHONE["height"]
    assert browser.evaluate("document.querySelector('#verdict').textContent").startswith(
        "Verified: "
    )


def test_text_stands_out_from_its_ground_in_both_themes(browser, page) -> None:
    contrast = """(() => {
      const channel = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => channel(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = node => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if (!colour.endsWith(", 0)") && colour !== "transparent") return colour;
        }
      };
      return [...document.querySelectorAll("h1, h2, h3, h4, p, dt, dd, td, th, summary, .badge")]
        .filter(node => node.textContent.trim() && node.offsetParent)
        .map(node => {
          const pair = [light(getComputedStyle(node).color), light(ground(node))].sort();
          return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), node.className];
        })
        .sort((a, b) => a[0] - b[0])[0];
    })()"""
    for dark in (False, True):
        browser.open(page, **DESKTOP, dark=dark)
        worst, where = browser.evaluate(contrast)
        assert worst >= 4.5, where  # WCAG 2.2, level AA


def drag(browser, kind: str, start: tuple[float, float], stop: tuple[float, float]) -> None:
    if kind == "mouse":
        for event, (x, y) in (("Pressed", start), ("Moved", stop), ("Released", stop)):
            browser.call(
                "Input.dispatchMouseEvent",
                type=f"mouse{event}", x=x, y=y, button="left", buttons=1, clickCount=1,
            )  # fmt: skip
        return
    for event, points in (("Start", [start]), ("Move", [stop]), ("End", [])):
        touches = [{"x": x, "y": y} for x, y in points]
        browser.call("Input.dispatchTouchEvent", type=f"touch{event}", touchPoints=touches)


@pytest.mark.parametrize(
    ("kind", "device"), [("mouse", DESKTOP), ("touch", PHONE)], ids=["mouse", "touch"]
)
def test_the_divider_follows(browser, page, kind, device) -> None:
    browser.open(page, **device, dark=False)
    assert at(browser) == 50
    left, top, width, height = browser.evaluate(STAGE)
    middle = top + height / 2
    drag(browser, kind, (left + width * 0.5, middle), (left + width * 0.25, middle + 2))
    assert at(browser) == pytest.approx(25, abs=1)
    drag(browser, kind, (left + width * 0.25, middle), (left + width * 0.9, middle + 2))
    assert at(browser) == pytest.approx(90, abs=1)


def test_the_divider_obeys_the_keyboard(browser, page) -> None:
    browser.open(page, **DESKTOP, dark=False)
    browser.evaluate("document.querySelector('.compare input').focus()")
    for _ in range(3):
        for kind in ("keyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent",
                type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39,
            )  # fmt: skip
    assert at(browser) == 53


def test_moving_the_divider_changes_what_is_seen(browser, page) -> None:
    browser.open(page, **DESKTOP, dark=False)
    browser.evaluate("document.querySelector('input[name=left][value=\"0\"]').click()")

    def picture(percent: int) -> np.ndarray:
        browser.evaluate(
            f"(i => {{ i.value = {percent}; i.dispatchEvent(new Event('input')); }})"
            "(document.querySelector('.compare input'))"
        )
        left, top, width, height = map(round, browser.evaluate(STAGE))
        raw = np.frombuffer(browser.screenshot(), np.uint8)
        seen = cv2.imdecode(raw, cv2.IMREAD_COLOR)[top : top + height, left : left + width]
        return seen.astype(int)

    model, network_input, half = picture(0), picture(100), picture(50)
    quarter = slice(60, half.shape[0] - 60), slice(40, half.shape[1] // 2 - 60)
    rest = slice(60, half.shape[0] - 60), slice(half.shape[1] // 2 + 60, half.shape[1] - 40)
    assert np.abs(model - network_input).mean() > 1
    assert np.abs(half[quarter] - network_input[quarter]).max() <= 2
    assert np.abs(half[rest] - model[rest]).max() <= 2
    tags = browser.evaluate("[...document.querySelectorAll('.stage')[0].querySelectorAll('.tag')]"
                            ".map(tag => tag.textContent)")  # fmt: skip
    assert tags == ["input", "int8 ort"]


def test_the_theme_can_be_chosen_and_is_remembered(browser, page) -> None:
    browser.open(page, **DESKTOP, dark=False)
    seen = []
    for _ in range(3):
        browser.evaluate("document.getElementById('theme').click()")
        label = browser.evaluate("document.getElementById('theme').textContent.trim()")
        seen.append((label, lightness(browser.evaluate(BACKGROUND)) < 0.3))
    assert seen == [
        ("Theme: light", False), ("Theme: dark", True), ("Theme: automatic", False),
    ]  # fmt: skip
    browser.evaluate("document.getElementById('theme').click()")
    browser.open(page, **DESKTOP, dark=True)
    assert lightness(browser.evaluate(BACKGROUND)) > 0.7
    browser.evaluate("localStorage.clear()")


class Outline(HTMLParser):
    """Collects what a reader without eyes or network gets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_every_picture_has_words_and_nothing_points_outside(page: Path) -> None:
    text = page.read_text()
    outline = Outline(text)
    images = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert len(images) >= 3 * 4
    assert all(len(attributes["alt"] or "") > 20 for attributes in images)
    assert all((attributes["src"] or "").startswith("data:image/webp") for attributes in images)
    for tag, attributes in outline.tags:
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert "http://" not in text
    assert "https://" not in text
    assert page.stat().st_size < 8e6


def test_the_report_made_again_is_the_same(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "tiny")
    (folder / REPORT_NAME).unlink()
    result = run("report", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    assert (folder / REPORT_NAME).read_bytes() == (built / REPORT_NAME).read_bytes()


def test_a_float_build_has_a_report_too(browser, tiny_weights: Path, tmp_path: Path) -> None:
    own = ["build", "--model", "tiny", "--weights", str(tiny_weights), "--precision", "fp32"]
    result = run(*own, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    browser.open(tmp_path / "tiny" / REPORT_NAME, **DESKTOP, dark=False)
    assert browser.complaints() == []
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert headings == ["Verified", "What it draws", "Manifest"]


def test_a_spoiled_build_is_shown_as_one(browser, built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "tiny")
    shutil.copy(folder / "tiny-fp16.onnx", folder / "tiny-int8-ort.onnx")
    result = run("report", folder)
    assert result.exit_code == 1
    assert "NOT VERIFIED" in result.stdout
    browser.open(folder / REPORT_NAME, **PHONE, dark=True)
    assert browser.complaints() == []
    words = browser.evaluate("document.querySelector('.verdict').innerText")
    assert "Not verified" in words
    assert "tiny-int8-ort.onnx, file: sha256" in words
    assert browser.evaluate("document.querySelectorAll('.scene').length") == 3


def test_a_report_without_its_float_model_draws_nothing(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "tiny")
    (folder / "tiny-fp32.onnx").unlink()
    assert remake_report(folder, Silent()) is False
    text = (folder / REPORT_NAME).read_text()
    assert "Not verified" in text
    assert "<img" not in text


def test_verify_notices_a_report_of_another_manifest(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "tiny")
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    picture = tmp_path / "picture"
    picture.mkdir()
    write_image(picture / "one.png", sample_patches("verification", 1).patches[0].load())
    result = run("verify", folder, "--images", picture)
    assert result.exit_code == 1
    assert "FAIL  report.html  report: shows manifest" in result.stdout
    assert "run 'esrdeploy report' again" in " ".join(result.stdout.split())
