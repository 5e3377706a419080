"""A network built for one input size works at others, and says so where it does not."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from calib.errors import GraphError
from calib.graph import network_digest
from deploy.artifacts.files import serialize
from deploy.network.architecture import SRVGG, Architecture, RRDBNet
from deploy.network.export import export_float
from deploy.runtime.resized import resized_model, side_factor
from deploy.runtime.runner import model_runner
from deploy.runtime.stages import cut_where_it_grows
from tests.deploy.builds import FLOAT, HALF, INT8

Array = np.ndarray

NETWORKS = {
    "x4": RRDBNet(blocks=1, features=8, growth=4),
    "x2 behind unshuffle 2": RRDBNet(blocks=1, features=8, growth=4, unshuffle=2),
    "x1 behind unshuffle 4": RRDBNet(blocks=1, features=8, growth=4, unshuffle=4),
    "pixel shuffle": SRVGG(convs=2, features=8, scale=4),
}


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_at_another_size_a_network_draws_what_its_export_for_that_size_draws(
    architecture: Architecture, random_tensors, photo: Array
) -> None:
    tensors, small = random_tensors(architecture), np.ascontiguousarray(photo[:, :, :40, :56])
    model = export_float(architecture, tensors, [photo]).model
    exported = export_float(architecture, tensors, [small]).model
    before = serialize(model)
    resized = resized_model(model, 40, 56, architecture.scale)
    drawn = model_runner(resized, optimized=True)(small)
    np.testing.assert_array_equal(drawn, model_runner(exported, optimized=True)(small))
    assert network_digest(resized) == network_digest(model)
    assert serialize(model) == before
    assert side_factor(model) == getattr(architecture, "unshuffle", 1)


@pytest.mark.parametrize("name", [FLOAT, HALF, INT8])
def test_every_file_of_a_build_works_at_any_size(built: Path, photo: Array, name: str) -> None:
    drawn = {}
    for file in (FLOAT, name):
        model = resized_model(onnx.load(built / file), 17, 90, 4)
        drawn[file] = model_runner(model, optimized=True)(
            np.ascontiguousarray(photo[:, :, :17, :90])
        )
    assert drawn[name].shape == (1, 3, 68, 360)
    assert np.abs(drawn[name] - drawn[FLOAT]).mean() < 0.02


def test_a_side_that_an_unshuffle_does_not_divide_is_refused(random_tensors, photo: Array) -> None:
    architecture = NETWORKS["x2 behind unshuffle 2"]
    model = export_float(architecture, random_tensors(architecture), [photo]).model
    with pytest.raises(GraphError, match="splits a side of 41 in parts of 2"):
        resized_model(model, 41, 56, 2)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("Softmax", ["input"], ["output"], "attend"), "may depend on the picture"),
        (
            helper.make_node("Pad", ["input", "shape"], ["output"], "pad"),
            "may depend on the picture",
        ),
        (helper.make_node("Reshape", ["input", "shape"], ["output"], "mix"), "which mixes sides"),
        (helper.make_node("Resize", ["input", "", "", "shape"], ["output"], "fix"), "a fixed size"),
    ],
    ids=["attention", "padding to a multiple", "windows", "sizes"],
)
def test_what_depends_on_the_size_is_refused(node: onnx.NodeProto, reason: str) -> None:
    tensor = helper.make_tensor_value_info
    shape = helper.make_tensor("shape", onnx.TensorProto.INT64, [4], [1, 6, 16, 24])
    given, made = (
        tensor("input", onnx.TensorProto.FLOAT, [1, 3, 32, 24]),
        tensor("output", onnx.TensorProto.FLOAT, [1, 6, 16, 24]),
    )
    model = helper.make_model(helper.make_graph([node], "graph", [given], [made], [shape]))
    with pytest.raises(GraphError, match=reason):
        resized_model(model, 64, 48, 1)


def test_a_shape_that_is_a_value_as_well_is_refused(random_tensors, photo: Array) -> None:
    architecture = NETWORKS["x2 behind unshuffle 2"]
    model = export_float(architecture, random_tensors(architecture), [photo]).model
    shape = next(node.input[1] for node in model.graph.node if node.op_type == "Reshape")
    model.graph.node.append(helper.make_node("Cast", [shape], ["value"], "cast", to=1))
    with pytest.raises(GraphError, match=f"another network: constant '{shape}' is a shape and"):
        resized_model(model, 40, 56, 2)


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_the_stages_of_a_network_are_resized_each(
    architecture: Architecture, random_tensors, photo: Array
) -> None:
    small = np.ascontiguousarray(photo[:, :, :40, :56])
    model = export_float(architecture, random_tensors(architecture), [photo]).model
    stages = cut_where_it_grows(model)
    if stages is None:
        assert not isinstance(architecture, RRDBNet)
        return
    trunk = resized_model(stages.trunk, 40, 56, Fraction(1, stages.shrink))
    entering = model_runner(trunk, optimized=True)(small)
    assert entering.shape[2:] == (40 // stages.shrink, 56 // stages.shrink)
    head = resized_model(stages.head, *entering.shape[2:], architecture.scale * stages.shrink)
    whole = resized_model(model, 40, 56, architecture.scale)
    expected = model_runner(whole, optimized=True)(small)
    np.testing.assert_array_equal(model_runner(head, optimized=True)(entering), expected)
