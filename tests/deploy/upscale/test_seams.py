"""Tiles leave no edge: not in what the network draws, and not in its gradient."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.colours import RGB
from calib.images import to_input
from deploy.network.architecture import RRDBNet
from deploy.network.export import export_float
from deploy.runtime.backends import BACKENDS, BackendName, is_installed
from deploy.runtime.runner import model_runner
from deploy.runtime.tiling import Tiling
from deploy.upscale.enlarge import enlarge, inferences
from deploy.upscale.load import loader
from deploy.upscale.memory import BASE_MB
from deploy.upscale.sized_network import SizedNetwork
from tests.deploy.builds import FLOAT, INT8
from tests.deploy.upscale.conftest import photo

SIDES = 150, 190
PICTURES = {
    "flat": np.full((*SIDES, 3), 117, np.uint8),
    "gradient": np.broadcast_to(
        np.linspace(20, 230, SIDES[1]).astype(np.uint8)[np.newaxis, :, np.newaxis], (*SIDES, 3)
    ),
    "photograph": photo(*SIDES),
}


def sized(
    path: Path,
    *,
    memory_mb: float = 1500,
    fixed: bool = False,
    backend: BackendName = "ort",
    float32: bool = True,
) -> SizedNetwork:
    return SizedNetwork(
        onnx.load(path),
        4,
        loader(backend),
        load_head=loader(backend, float32=float32),
        memory_mb=memory_mb,
        fixed=fixed,
    )


def drawn(samples: np.ndarray, network: SizedNetwork) -> np.ndarray:
    return np.concatenate(list(enlarge(samples, network)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("file", [FLOAT, INT8])
@pytest.mark.parametrize("memory_mb", [BASE_MB + 10, None], ids=["larger tiles", "the file's own"])
def test_no_tile_edge_shows(
    file: str, backend: BackendName, memory_mb: float | None, built: Path
) -> None:
    if not is_installed(backend):
        pytest.skip(f"{backend} is not installed")
    own_size = memory_mb is None
    float32 = own_size or file == FLOAT  # of a network in two stages alone the head is not
    network = sized(
        built / file,
        memory_mb=memory_mb or 1500,
        fixed=own_size,
        backend=backend,
        float32=float32,
    )
    in_one_piece = sized(built / file, backend=backend, float32=float32)
    tiling = Tiling(*SIDES, network.tile_for((*SIDES, 3)))
    assert len(tiling) >= 4
    assert len(tiling) == inferences((*SIDES, 3), network)
    for name, samples in PICTURES.items():
        tiled = drawn(samples, network).astype(float)
        whole = drawn(samples, in_one_piece).astype(float)
        assert tiled.shape == whole.shape == (600, 760, 3)
        assert np.abs(tiled - whole).max() <= (1 if file == FLOAT else 24), name
        assert np.abs(tiled - whole).mean() <= 0.25, name
        for axis, starts, side in ((0, tiling.rows, SIDES[0]), (1, tiling.columns, SIDES[1])):
            gradient, plain = (np.abs(np.diff(picture, axis=axis)) for picture in (tiled, whole))
            tile = tiling.tile.sides[axis]
            overlaps = [range(4 * b, 4 * (a + tile) - 1) for a, b in itertools.pairwise(starts)]
            across = [position for overlap in overlaps for position in overlap]
            assert 0 < len(across) < 4 * side
            # Where tiles meet the picture is as rough as the network draws it there in one piece.
            found, expected = (g.take(across, axis).mean() for g in (gradient, plain))
            assert found == pytest.approx(expected, rel=0.02, abs=0.02), name


def test_a_network_that_keeps_to_its_size_says_why(built: Path) -> None:
    model = onnx.load(built / FLOAT)
    node = model.graph.node[-1]
    attend = onnx.helper.make_node("Softmax", [node.output[0]], ["soft"], "attend")
    model.graph.node.append(attend)
    network = SizedNetwork(model, 4, lambda _: np.asarray)
    assert "attend" in network.kept_size
    assert network.tile_for((600, 700, 3)).sides == (128, 128)


@pytest.mark.parametrize("sides", [(16, 40), (20, 24)])
def test_a_network_behind_a_large_unshuffle_takes_small_pictures(
    sides: tuple[int, int], random_tensors
) -> None:
    architecture = RRDBNet(blocks=1, features=8, growth=4, unshuffle=4)
    picture = to_input(photo(128, 128), RGB)
    model = export_float(architecture, random_tensors(architecture), [picture]).model
    network = SizedNetwork(model, 1, lambda made: model_runner(made, optimized=True))
    samples = photo(*sides)
    assert drawn(samples, network).shape == samples.shape
