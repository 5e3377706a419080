"""The page of the folder for browsers, with a stand-in for onnxruntime-web beside it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsing import Browser
from tests.deploy.handoff.vendors.web_page.showing import DESKTOP, serving, settled

STAND_IN = """
export const env = {wasm: {}};
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, {type, data, dims}); }
}
const made = async (model) => {
  const gain = Number(new TextDecoder().decode(model));
  return {release: async () => {}, run: async ({input: {data, dims: [n, c, h, w]}}) => {
    if (gain < 0) throw new Error("out of memory");
    const drawn = new Float32Array(4 * data.length);
    for (let at = 0; at < drawn.length; at += 1) {
      const x = at % (2 * w), y = Math.floor(at / (2 * w)) % (2 * h);
      const plane = Math.floor(at / (4 * w * h)) * w * h;
      drawn[at] = data[plane + (y >> 1) * w + (x >> 1)] * gain + y / 2560 - x / 5120;
    }
    return {output: {data: drawn, dims: [n, c, 2 * h, 2 * w], dispose() {}}};
  }};
};
export const InferenceSession = {create: made};
"""


@pytest.fixture(scope="module")
def folder(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the stand-in beside it, and networks that are numbers for it."""
    root = tmp_path_factory.mktemp("page")
    shutil.copytree(unpacked / "web", root / "web")
    runtime = root / "web/onnxruntime-web/dist/ort.wasm.min.mjs"
    runtime.parent.mkdir(parents=True)
    runtime.write_text(STAND_IN)
    (root / "models").mkdir()
    for profile, gain in (("fp32", "0.9"), ("int8-ort", "0.5"), ("int8-qnn", "-1")):
        (root / f"models/small-{profile}.onnx").write_text(gain)
    return root


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    yield from serving(folder)


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    browser.open(address, **DESKTOP, dark=False)
    settled(browser, "idle")
    return browser
