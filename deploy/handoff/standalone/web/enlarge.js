/** Take a picture, have worker.js enlarge it, and show what comes back. */

const MOST_SIDE_PX = 16384; // of a canvas, in the browsers of today
const MOST_PIXELS = 2 ** 27; // 0.5 GB of them

const at = (id) => document.getElementById(id);
const canvas = at("picture");
const format = new Intl.NumberFormat("en");

let network = null;
let worker = null;
let picture = null; // {name, bitmap}

/** A failure that is said in the page in these words. */
class Said extends Error {}

function state(name) {
  document.body.dataset.state = name;
  at("progress").hidden = name !== "working";
  at("stop").hidden = name !== "working";
  at("again").hidden = name === "working" || picture === null;
  at("save").hidden = name !== "done";
  at("sized").hidden = name !== "done";
  at("shown").hidden = name !== "working" && name !== "done";
  at("files").disabled = name === "working";
}

function say(text) {
  at("status").textContent = text;
}

function fail(text) {
  worker?.terminate();
  worker = null;
  say("");
  state("failed");
  at("problem").textContent = text;
}

async function readNetwork() {
  const answer = await fetch("network.json").catch(() => null);
  if (!answer?.ok) throw new Said("network.json was not found beside this page.");
  network = await answer.json();
  at("about").textContent =
    `${network.model} enlarges ${network.scale} times in width and height, in this browser. ` +
    "Your picture stays on this machine: the page sends nothing anywhere.";
  network.files.forEach((file, index) => {
    const label = document.createElement("label");
    const choice = document.createElement("input");
    Object.assign(choice, {type: "radio", name: "network", value: file.path, checked: index === 0});
    const size = document.createElement("small");
    size.textContent = `${(file.size_bytes / 1e6).toFixed(1)} MB, ${file.said}`;
    const name = document.createElement("span");
    name.textContent = file.name;
    label.append(choice, name, size);
    at("files").append(label);
  });
}

/** Return the upright picture, or say why there is none. */
async function read(file) {
  const bitmap = await createImageBitmap(file, {imageOrientation: "from-image"}).catch(() => null);
  if (bitmap === null) throw new Said(`${file.name} is no picture that this browser can read.`);
  const [width, height] = [bitmap.width * network.scale, bitmap.height * network.scale];
  if (Math.max(width, height) > MOST_SIDE_PX || width * height > MOST_PIXELS) {
    throw new Said(
      `${file.name} has ${size(bitmap.width, bitmap.height)} pixels. Enlarged they would be ` +
        `${size(width, height)}, more than a browser can show: at most ${MOST_SIDE_PX} a side and ` +
        `${Math.round(MOST_PIXELS / 1e6)} million in all. Cut it, or use esrdeploy upscale.`,
    );
  }
  return {name: file.name, bitmap};
}

function size(width, height) {
  return `${format.format(width)} × ${format.format(height)}`;
}

/** Return the samples of the picture, red, green, blue and alpha, row by row. */
function samples({width, height, bitmap}) {
  const drawing = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  drawing.drawImage(bitmap, 0, 0);
  return drawing.getImageData(0, 0, width, height).data;
}

/** Lay the canvas out, with the browser's own enlargement until ours is drawn. */
function lay({width, height, bitmap}) {
  canvas.width = width * network.scale;
  canvas.height = height * network.scale;
  canvas.setAttribute("aria-label", `${picture.name}, enlarged`);
  const drawing = canvas.getContext("2d");
  drawing.fillRect(canvas.width - 1, canvas.height - 1, 1, 1);
  if (drawing.getImageData(canvas.width - 1, canvas.height - 1, 1, 1).data[3] === 0) {
    throw new Said("This browser has no memory for a picture of that size.");
  }
  drawing.clearRect(0, 0, canvas.width, canvas.height);
  drawing.imageSmoothingQuality = "high";
  drawing.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}

function enlarge() {
  at("problem").textContent = "";
  const {bitmap} = picture;
  const given = {width: bitmap.width, height: bitmap.height, bitmap};
  try {
    lay(given);
    const rgba = samples(given);
    worker ??= begun();
    const file = document.querySelector("input[name=network]:checked").value;
    state("working");
    say(`Enlarging ${picture.name}`);
    at("count").textContent = "";
    at("bar").removeAttribute("value");
    const {width, height} = given;
    worker.postMessage({network, file, width, height, rgba}, [rgba.buffer]);
  } catch (error) {
    fail(error instanceof Said ? error.message : `This picture could not be prepared: ${error}`);
  }
}

function begun() {
  const made = new Worker("worker.js", {type: "module"});
  const about = {tiles: 0, threads: 1, began: 0};
  const told = {
    loading: () => say("Loading the network"),
    begun: ({tiles, threads}) => {
      Object.assign(about, {tiles, threads, began: performance.now()});
      say(`Enlarging ${picture.name}`);
      at("count").textContent = `0 of ${format.format(tiles)} tiles`;
      Object.assign(at("bar"), {max: tiles, value: 0});
    },
    tile: ({done}) => {
      const left = ((performance.now() - about.began) / done) * (about.tiles - done);
      const tiles = `${format.format(done)} of ${format.format(about.tiles)} tiles`;
      at("count").textContent = `${tiles}, about ${lasting(left / 1000)} left`;
      at("bar").value = done;
    },
    band: ({top, rows, rgba}) => {
      canvas.getContext("2d").putImageData(new ImageData(rgba, canvas.width, rows), 0, top);
    },
    done: ({seconds, loadedIn}) => {
      state("done");
      say(
        `${picture.name}: ${size(picture.bitmap.width, picture.bitmap.height)} pixels enlarged to ` +
          `${size(canvas.width, canvas.height)} in ${seconds.toFixed(1)} s; ` +
          `${counted(about.tiles, "tile")}, ${counted(about.threads, "thread")}. ` +
          `The network was loaded in ${loadedIn.toFixed(1)} s.`,
      );
    },
    failed: ({text}) => fail(text),
  };
  made.onmessage = ({data}) => told[data.kind](data);
  made.onerror = () => fail("The part of the page that runs the network, worker.js, did not start.");
  return made;
}

function counted(number, word) {
  return `${format.format(number)} ${word}${number === 1 ? "" : "s"}`;
}

function lasting(seconds) {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

async function take(files) {
  if (document.body.dataset.state === "working") stop();
  try {
    if (network === null) throw new Said("The page is not ready: it has no network yet.");
    const file = files[0];
    if (file === undefined) throw new Said("What was dropped is no file.");
    picture = await read(file);
    enlarge();
  } catch (error) {
    picture = null;
    fail(error instanceof Said ? error.message : `The file could not be read: ${error}`);
  }
}

function stop() {
  worker?.terminate();
  worker = null;
  state("stopped");
  say(`${picture.name}: stopped.`);
  at("again").focus();
}

async function save() {
  const blob = await new Promise((made) => canvas.toBlob(made, "image/png"));
  if (blob === null) {
    at("problem").textContent = "This browser could not write a PNG file of that size.";
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${picture.name.replace(/\.[^.]*$/, "")}-x${network.scale}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

at("file").addEventListener("change", ({target}) => {
  if (target.files.length > 0) take([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", name === "dragover");
    if (name === "drop") take([...event.dataTransfer.files]);
  });
}
at("stop").addEventListener("click", stop);
at("again").addEventListener("click", enlarge);
at("save").addEventListener("click", save);
at("full").addEventListener("change", ({target}) => {
  at("shown").classList.toggle("full", target.checked);
});

state("idle");
readNetwork().catch((error) => fail(error.message));
