"""A network cut where its pictures grow is the same one, and its head looks as far as it says."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.tile import Size
from deploy.network.architecture import SRVGG, Architecture, RRDBNet
from deploy.network.export import export_float
from deploy.runtime.resized import resized_model
from deploy.runtime.runner import Runner, model_runner
from deploy.runtime.stages import Stages, cut_where_it_grows
from deploy.runtime.tiling import in_tiles
from quant.passes.lowering.catalogue import LOWERINGS, lower_graph
from tests.deploy.builds import FLOAT, HALF, INT8

Array = np.ndarray

NETWORKS = {
    "x4": RRDBNet(blocks=1, features=8, growth=4),
    "x2 behind unshuffle 2": RRDBNet(blocks=1, features=8, growth=4, unshuffle=2),
    "x1 behind unshuffle 4": RRDBNet(blocks=1, features=8, growth=4, unshuffle=4),
}
ENLARGING = ("resize-to-convtranspose",)


def run(model: onnx.ModelProto) -> Runner:
    return model_runner(model, optimized=True)


def cut(model: onnx.ModelProto) -> Stages:
    stages = cut_where_it_grows(model)
    assert stages is not None
    return stages


def require_the_same(
    model: onnx.ModelProto, picture: Array, scale: int, atol: float = 5e-6
) -> None:
    """The two stages draw what the network draws, the head in small tiles too."""
    stages = cut(model)
    entering = run(stages.trunk)(picture)
    whole = run(model)(picture)
    np.testing.assert_allclose(run(stages.head)(entering), whole, atol=atol)
    tile = Size(max(16, entering.shape[2] // 2), max(16, entering.shape[3] // 3))
    assert tile.height_px > 2 * stages.reach_px
    small = resized_model(model, *(side * stages.shrink for side in tile.sides), scale)
    head = in_tiles(run(cut(small).head), tile, stages.reach_px, scale * stages.shrink)
    np.testing.assert_allclose(head(entering), whole, atol=atol)


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_networks(architecture: Architecture, random_tensors, photo: Array) -> None:
    model = export_float(architecture, random_tensors(architecture), [photo]).model
    stages = cut(model)
    assert stages.shrink == architecture.unshuffle
    require_the_same(model, photo, architecture.scale)


@pytest.mark.parametrize("file", [FLOAT, HALF, INT8])
def test_files_of_a_build(file: str, built: Path, photo: Array) -> None:
    # Between the stages a tensor of the fp16 file is rounded; onnxruntime else omits that on a CPU.
    atol = 2e-3 if file == HALF else 5e-6
    require_the_same(onnx.load(built / file), photo, 4, atol)


@pytest.mark.parametrize("name", ENLARGING)
def test_what_is_lowered_still_works_at_any_size(name: str, random_tensors, photo: Array) -> None:
    architecture = NETWORKS["x4"]
    exported = export_float(architecture, random_tensors(architecture), [photo])
    lowered = lower_graph(exported.model, (name,), exported.probes).model
    assert {node.op_type for node in lowered.graph.node} != {
        node.op_type for node in exported.model.graph.node
    }
    require_the_same(lowered, photo, 4)
    small = np.ascontiguousarray(photo[:, :, :40, :56])
    np.testing.assert_allclose(
        run(resized_model(lowered, 40, 56, 4))(small),
        run(resized_model(exported.model, 40, 56, 4))(small),
        atol=5e-6,
    )


def test_the_head_looks_no_further_than_it_says(built: Path, photo: Array) -> None:
    stages = cut(onnx.load(built / FLOAT))
    entering = run(stages.trunk)(photo)
    head, row = run(stages.head), 60
    changed = entering.copy()
    changed[:, :, row] += 1.0
    moved = np.flatnonzero(np.abs(head(changed) - head(entering)).max(axis=(0, 1, 3)))
    reach = max(row - moved.min() // 4, moved.max() // 4 - row)
    assert 0 < reach <= stages.reach_px <= reach + 3


def test_a_network_whose_input_is_added_at_the_end_stays_whole(
    random_tensors, photo: Array
) -> None:
    architecture = SRVGG(convs=2, features=8, scale=4)
    model = export_float(architecture, random_tensors(architecture), [photo]).model
    assert cut_where_it_grows(model) is None


def test_the_lowerings_tried_are_those_that_enlarge_without_a_fixed_crop() -> None:
    assert set(ENLARGING) <= set(LOWERINGS)
