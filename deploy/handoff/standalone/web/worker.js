/**
 * Run the network on the tiles of a picture, away from the page so that it stays at hand.
 *
 * It gets {network, file, width, height, rgba} and answers with {kind}: "loading", "begun" (tiles,
 * threads), "tile" (done), "band" (top, rows, rgba), "done" (seconds, loadedIn) or "failed" (text).
 * Nothing is fetched but onnxruntime-web and the model, both from where the page lies.
 */

import {Joiner, Side, fillTransparent, layersOf, networkInput, writeLayer} from "./tiles.js";

const RUNTIME = "./onnxruntime-web/dist/ort.wasm.min.mjs";
const MOST_THREADS = 8;

let loaded = null;

/** A failure that is said in the page in these words. */
class Said extends Error {}

async function runtime() {
  try {
    const ort = await import(RUNTIME);
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = threads();
    return ort;
  } catch {
    throw new Said(
      "onnxruntime-web was not found beside this page. README.md says how to fetch it with npm.",
    );
  }
}

/** Browsers let a page use several threads only where its server isolates it, as serve.py does. */
function threads() {
  return self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
}

async function load(file) {
  if (loaded?.file === file) return loaded;
  await loaded?.session.release();
  loaded = null;
  postMessage({kind: "loading"});
  const began = performance.now();
  const ort = await runtime();
  const answer = await fetch(file).catch(() => null);
  if (!answer?.ok) throw new Said(`The network ${file} was not found where this page looks for it.`);
  const model = new Uint8Array(await answer.arrayBuffer());
  const session = await ort.InferenceSession.create(model, {executionProviders: ["wasm"]});
  loaded = {file, ort, session, seconds: (performance.now() - began) / 1000};
  return loaded;
}

async function drawn({ort, session}, given, down, across, row, column, network) {
  const {scale, channels} = network;
  const size = channels * down.tilePx * across.tilePx * scale ** 2;
  if (given.same !== null) return new Float32Array(size).fill(given.same / 255);
  const planes = networkInput(given, down, across, row, column, channels);
  const shape = [1, channels, down.tilePx, across.tilePx];
  const {output} = await session.run({input: new ort.Tensor("float32", planes, shape)});
  const values = output.data.slice();
  output.dispose();
  if (values.length !== size) throw new Said("The network made another size than network.json says.");
  if (!values.every(Number.isFinite)) {
    throw new Said("The network made values that are no numbers. Its file may be damaged.");
  }
  return values;
}

async function enlarge({network, file, width, height, rgba}) {
  const {scale, channels} = network;
  const down = new Side(height, network.down.tile_px, network.down.margin_px);
  const across = new Side(width, network.across.tile_px, network.across.margin_px);
  const session = await load(file);
  const began = performance.now();
  fillTransparent(rgba, width);
  const layers = layersOf(rgba, channels);
  const joiners = layers.map(() => new Joiner(down, across, scale, channels));
  const tiles = down.starts.length * across.starts.length;
  postMessage({kind: "begun", tiles, threads: threads()});
  let done = 0;
  let top = 0;
  for (const row of down.starts) {
    joiners.forEach((joiner) => joiner.begin());
    for (const [number, column] of across.starts.entries()) {
      for (const [index, given] of layers.entries()) {
        joiners[index].add(number, await drawn(session, given, down, across, row, column, network));
      }
      done += 1;
      postMessage({kind: "tile", done});
    }
    const ended = joiners.map((joiner) => joiner.end());
    const rows = Math.min(ended[0].rows, height * scale - top);
    if (rows > 0) {
      const band = new Uint8ClampedArray(4 * rows * width * scale).fill(255);
      layers.forEach((given, index) => writeLayer(given, ended[index], band, width * scale));
      postMessage({kind: "band", top, rows, rgba: band}, [band.buffer]);
    }
    top += rows;
  }
  postMessage({
    kind: "done",
    seconds: (performance.now() - began) / 1000,
    loadedIn: session.seconds,
  });
}

self.onmessage = async ({data}) => {
  try {
    await enlarge(data);
  } catch (error) {
    loaded = null;
    const text = error instanceof Said ? error.message : `The network could not be run: ${error}`;
    postMessage({kind: "failed", text});
  }
};
