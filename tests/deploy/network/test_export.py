import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError
from calib.runtime import Session
from deploy.network import export
from deploy.network.architecture import INPUT_NAME, OUTPUT_NAME, SRVGG, RRDBNet
from deploy.network.canonical_graph import normal_form
from deploy.network.export import export_float
from deploy.network.exported import MIN_PSNR_DB
from deploy.network.torch_modules import build_generator, torch_runner

SMALL = RRDBNet(blocks=1, features=6, growth=3)
UNSHUFFLED = RRDBNet(blocks=1, features=6, growth=3, unshuffle=2)
COMPACT = SRVGG(convs=1, features=5, scale=3)
ALL = [SMALL, UNSHUFFLED, RRDBNet(1, 4, 2, unshuffle=4), COMPACT]
BLOCK_OPS = 12 * ["Conv", "LeakyRelu", "Concat"] + 3 * ["Conv", "Mul", "Add"] + ["Mul", "Add"]
TAIL_OPS = ["Conv", "Add", *2 * ["Resize", "Conv", "LeakyRelu"], "Conv", "LeakyRelu", "Conv"]


@pytest.fixture(scope="module")
def exported(random_tensors, photo):
    cache = {}

    def make(architecture):
        if architecture not in cache:
            probe = photo[:, :, :16, :24]
            cache[architecture] = export_float(architecture, random_tensors(architecture), [probe])
        return cache[architecture]

    return make


def serialized(model):
    return model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_evidence_is_measured_on_every_probe(architecture, exported):
    found = exported(architecture)
    assert 0 < found.against_original.max_abs_error < 1e-5
    assert MIN_PSNR_DB < found.against_original.psnr_db < math.inf
    assert found.against_original.probes == 1


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_file_agrees_with_torch_and_the_onnx_reference(
    architecture, exported, random_tensors, photo
):
    probe = photo[:, :, 16:32, 24:48]
    model = exported(architecture).model
    expected = torch_runner(architecture, random_tensors(architecture))(probe)
    found = Session(model, optimized=True).run({INPUT_NAME: probe})[OUTPUT_NAME]
    (reference,) = ReferenceEvaluator(model).run(None, {INPUT_NAME: probe})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(reference, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_normal_form(architecture, exported, random_tensors):
    model = exported(architecture).model
    graph = model.graph
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert (model.producer_name, model.producer_version) == ("esrdeploy", "")
    assert not model.metadata_props
    assert (model.doc_string, graph.doc_string) == ("", "")
    assert not any(node.doc_string or node.metadata_props for node in graph.node)
    assert "Constant" not in {node.op_type for node in graph.node}
    assert len({node.name for node in graph.node}) == len(graph.node)
    assert all(node.name.startswith("/") for node in graph.node)
    read = [name for node in graph.node for name in node.input]
    assert all(tensor.name in read for tensor in graph.initializer)
    values = (*graph.input, *graph.value_info, *graph.output)
    made = {INPUT_NAME} | {name for node in graph.node for name in node.output}
    assert {value.name for value in values} == made
    dims = [dim for value in values for dim in value.type.tensor_type.shape.dim]
    assert all(dim.dim_value > 0 for dim in dims)
    assert [value.name for value in graph.input] == [INPUT_NAME]
    assert [value.name for value in graph.output] == [OUTPUT_NAME]


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_weights_are_the_checkpoints_to_the_bit(architecture, exported, random_tensors):
    found = {
        t.name: numpy_helper.to_array(t) for t in exported(architecture).model.graph.initializer
    }
    for name, tensor in random_tensors(architecture).items():
        assert found.pop(name).tobytes() == tensor.tobytes()
    assert {name.rpartition(".")[2] for name in found} <= {"factor", "scales", "shape"}


def test_operators_of_rrdbnet(exported):
    model = exported(SMALL).model
    operators = [node.op_type for node in model.graph.node]
    assert sorted(operators) == sorted(["Conv", *BLOCK_OPS, *TAIL_OPS])
    factors = [t for t in model.graph.initializer if t.name.endswith(".factor")]
    assert [t.name for t in factors] == [
        "/body/body.0/rdb1/Mul.factor",
        "/body/body.0/rdb2/Mul.factor",
        "/body/body.0/rdb3/Mul.factor",
        "/body/body.0/Mul.factor",
    ]
    assert all(numpy_helper.to_array(t) == np.float32(0.2) for t in factors)


def test_pixel_unshuffle_is_plain_operators_in_torchs_channel_order(exported):
    model = exported(UNSHUFFLED).model
    assert [node.op_type for node in model.graph.node][:4] == [
        "Reshape",
        "Transpose",
        "Reshape",
        "Conv",
    ]
    first = model.graph.node[3].input[0]
    model = onnx.ModelProto.FromString(serialized(model))
    model.graph.output.append(onnx.helper.make_tensor_value_info(first, 1, [1, 12, 8, 12]))
    x = np.random.default_rng(3).random((1, 3, 16, 24), dtype=np.float32)
    unshuffled = Session(model, optimized=False).run({INPUT_NAME: x}, [first])[first]
    for channel, row, column in np.ndindex(3, 2, 2):
        found = unshuffled[0, 4 * channel + 2 * row + column]
        np.testing.assert_array_equal(found, x[0, channel, row::2, column::2])


def test_operators_of_srvgg(exported):
    nodes = exported(COMPACT).model.graph.node
    assert sorted(node.op_type for node in nodes) == sorted(
        ["Conv", "PRelu", "Conv", "PRelu", "Conv", "DepthToSpace", "Resize", "Add"]
    )
    (shuffle,) = [node for node in nodes if node.op_type == "DepthToSpace"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in shuffle.attribute}
    assert attributes == {"blocksize": 3, "mode": b"CRD"}


@pytest.mark.parametrize("architecture", [SMALL, COMPACT], ids=str)
def test_a_network_for_gray_is_one_channel_of_the_sums(architecture, random_tensors, photo):
    """The same network in gray: weights summed over R, G, B going in, averaged coming out."""
    tensors = random_tensors(architecture)
    first, *_, last = architecture.convolutions()
    gray = dict(tensors)
    gray[f"{first.name}.weight"] = tensors[f"{first.name}.weight"].sum(1, keepdims=True)
    for part in ("weight", "bias"):
        value = tensors[f"{last.name}.{part}"]
        gray[f"{last.name}.{part}"] = value.reshape(3, -1, *value.shape[1:]).mean(0)
    probe = np.ascontiguousarray(photo[:, :1, 50:66, 50:74])
    made = export_float(replace(architecture, channels=1), gray, [probe])
    in_colour = torch_runner(architecture, tensors)(made.probes[0].values.repeat(3, axis=1))
    assert made.outputs[0].shape == (1, 1, *in_colour.shape[2:])
    np.testing.assert_allclose(made.outputs[0][:, 0], in_colour.mean(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", [SMALL, COMPACT], ids=str)
def test_same_network_gives_same_bytes(architecture, exported, random_tensors, photo):
    probe = np.ascontiguousarray(photo[:, :, 50:66, 50:74])
    again = export_float(architecture, random_tensors(architecture), [probe])
    assert serialized(again.model) == serialized(exported(architecture).model)


@pytest.mark.parametrize("architecture", [SMALL, COMPACT], ids=str)
def test_equal_weights_stay_apart(architecture, random_tensors, photo):
    tensors = {name: np.ones_like(t) * 0.01 for name, t in random_tensors(architecture).items()}
    model = export_float(architecture, tensors, [photo[:, :, :8, :8]]).model
    assert set(tensors) <= {tensor.name for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        pytest.param([], "found no probe", id="none"),
        pytest.param([(1, 3, 8, 8), (1, 3, 8, 9)], "expected one shape", id="two sizes"),
        pytest.param([(1, 2, 8, 8)], r"shapes \[\(1, 2, 8, 8\)\]", id="channels"),
        pytest.param([(2, 3, 8, 8)], "expected one shape", id="batch"),
        pytest.param([(3, 8, 8)], "expected one shape", id="no batch axis"),
        pytest.param([(1, 3, 9, 8)], "do not divide by 2", id="odd height behind unshuffle"),
    ],
)
def test_probes_that_do_not_fit_are_refused(shapes, message, random_tensors):
    probes = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(GraphError, match=message):
        export_float(UNSHUFFLED, random_tensors(UNSHUFFLED), probes)


def test_probes_are_half_picture_half_noise(monkeypatch, random_tensors, photo):
    seen = []
    run = export.outputs_of
    monkeypatch.setattr(
        export,
        "outputs_of",
        lambda net, probes, **how: seen.extend(probes) or run(net, probes, **how),
    )
    probes = [photo[:, :, :16, :16], photo[:, :, 16:32, :16]]
    export_float(SMALL, random_tensors(SMALL), probes)
    for given, used in zip(probes, seen, strict=True):
        np.testing.assert_array_equal(used[:, :, :8], given[:, :, :8])
        assert used[:, :, 8:].std() > 0.2
    assert not np.array_equal(seen[0][:, :, 8:], seen[1][:, :, 8:])


def test_tracing_gives_out_what_torch_does_and_no_graph_of_the_picture(random_tensors, photo):
    generator = build_generator(SMALL, random_tensors(SMALL))
    picture = np.ascontiguousarray(photo[:, :, :16, :16])
    traced, (found,) = export.trace(generator, picture)
    (expected,) = export._run_torch(generator, [picture])
    np.testing.assert_array_equal(found["output"], expected["output"])
    assert serialized(traced) == serialized(export.trace(generator, np.zeros_like(picture))[0])


def with_initializer(model, suffix, change):
    model = onnx.ModelProto.FromString(serialized(model))
    for tensor in model.graph.initializer:
        if tensor.name.endswith(suffix):
            tensor.CopyFrom(
                numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name)
            )
    return model


def scaled(factor):
    return lambda array: array * np.float32(factor)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            (".factor", scaled(1.001)),
            "simplifying the traced graph changed it: found",
            id="constant",
        ),
        pytest.param((".factor", scaled(np.nan)), "found nan dB", id="nan"),
        pytest.param(("hr.bias", scaled(2)), r"changed the weight 'conv_hr\.bias'", id="weight"),
    ],
)
def test_a_simplifier_that_changes_the_network_is_caught(
    spoil, message, monkeypatch, random_tensors, photo
):
    monkeypatch.setattr(
        export, "normal_form", lambda simplified: with_initializer(normal_form(simplified), *spoil)
    )
    with pytest.raises(GraphError, match=message):
        export_float(SMALL, random_tensors(SMALL), [photo[:, :, :16, :16]])


def test_an_export_that_torch_contradicts_is_caught(monkeypatch, random_tensors, photo):
    trace = export.trace

    def brighter(generator, probe):
        traced, given = trace(generator, probe)
        brightened = [
            {name: value + np.float32(1e-4) for name, value in outputs.items()} for outputs in given
        ]
        return traced, brightened

    monkeypatch.setattr(export, "trace", brighter)
    with pytest.raises(GraphError, match=r"found 80\.0 dB between the graph as traced and torch"):
        export_float(SMALL, random_tensors(SMALL), [photo[:, :, :16, :16]])
