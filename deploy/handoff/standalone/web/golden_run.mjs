/**
 * Run the golden inputs in Node with the kernels that browsers run.
 *
 *     node golden_run.mjs MODEL.onnx OUT
 *
 * Writes OUT/NAME.raw, float32 without a header, for each ../golden/input/NAME.npy.
 */

import {mkdir, readFile, readdir, writeFile} from "node:fs/promises";
import {basename} from "node:path";

const INPUTS = new URL("../golden/input/", import.meta.url);
const RUNTIME = "./onnxruntime-web/dist/ort.wasm.min.mjs";

/** Return shape and values of a .npy file of float32 in C order. */
function parsed(file) {
  const end = 10 + file.readUInt16LE(8);
  const head = file.toString("latin1", 10, end);
  if (!head.includes("'<f4'") || !head.includes("'fortran_order': False")) {
    throw new Error(`expected float32 in C order, found ${head.trim()}`);
  }
  const shape = /\(([\d, ]+)\)/.exec(head)[1].split(",").filter(Boolean).map(Number);
  return {shape, values: new Float32Array(Uint8Array.from(file.subarray(end)).buffer)};
}

async function main(model, out) {
  const ort = await import(RUNTIME).catch(() => {
    throw new Error("found no onnxruntime-web beside this script; README.md says how to fetch it");
  });
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await readFile(model), {
    executionProviders: ["wasm"],
  });
  await mkdir(out, {recursive: true});
  const names = (await readdir(INPUTS)).filter((name) => name.endsWith(".npy")).sort();
  for (const name of names) {
    const {shape, values} = parsed(await readFile(new URL(name, INPUTS)));
    const {output} = await session.run({input: new ort.Tensor("float32", values, shape)});
    await writeFile(`${out}/${basename(name, ".npy")}.raw`, new Uint8Array(output.data.slice().buffer));
    console.log(`${basename(name, ".npy")}: ${output.dims.join("x")}`);
  }
}

const [model, out] = process.argv.slice(2);
if (out === undefined) {
  console.error("usage: node golden_run.mjs MODEL.onnx OUT");
  process.exit(2);
}
try {
  await main(model, out);
} catch (error) {
  console.error(`golden_run.mjs: ${error.message}`);
  process.exitCode = 2;
}
