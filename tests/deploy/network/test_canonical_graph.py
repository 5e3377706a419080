"""One spelling for a graph: the same bytes from other exports, the same numbers."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError
from deploy.network.canonical_graph import normal_form, require_sound

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

# As torch names things: merged parameters and values of its own. %s are the constants.
EXPORTED = (
    HEADER
    + """
torch_jit (float[1,2,3,3] input) => (float[1,2,6,6] output)
<%(initializers)s>
{
  %(constants)s
  [/body/body.0/rdb1/conv1/Conv] a = Conv<pads=[1,1,1,1]>(input, %(weight)s, %(bias)s)
  [/body/body.0/rdb1/Mul] b = Mul(a, %(factor)s)
  [/body/body.1/PRelu] c = PRelu(b, %(slope)s)
  [/Resize] output = Resize<mode="nearest">(c, , %(scales)s)
}
"""
)
VALUES = {
    "weight": "float[2,2,3,3] %s = {" + ", ".join(f"{n / 10}" for n in range(36)) + "}",
    "bias": "float[2] %s = {0.5, -0.5}",
    "factor": "float %s = {0.25}",
    "slope": "float[2,1,1] %s = {0.1, 0.3}",
    "scales": "float[4] %s = {1.0, 1.0, 2.0, 2.0}",
}


def exported(names: dict[str, str] | None = None, constants: str = "") -> onnx.ModelProto:
    """Return the graph with constants of these names; those made by nodes are no initializers."""
    names = names or {role: f"onnx::{role}_7" for role in VALUES}
    quoted = {role: name.replace("::", "_") for role, name in names.items()}
    declared = ", ".join(
        text % quoted[role] for role, text in VALUES.items() if f"{quoted[role]} =" not in constants
    )
    text = EXPORTED % {"initializers": declared, "constants": constants, **quoted}
    for name in ("/body/body.0/rdb1/conv1/Conv", "/body/body.0/rdb1/Mul", "/body/body.1/PRelu"):
        text = text.replace(f"[{name}]", f"[{name.replace('/', '|')}]")
    text = text.replace("[/Resize]", "[|Resize]").replace("[|", "[N").replace("|", "_S_")
    model = onnx.parser.parse_model(text.replace("body.", "body_D_"))
    for node in model.graph.node:  # what ONNX text has no way to spell
        if node.name.startswith("N"):
            node.name = "/" + node.name[1:].replace("_S_", "/").replace("_D_", ".")
    onnx.checker.check_model(model, full_check=True)
    return model


def content(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString(deterministic=True)


def test_names_follow_the_state_dict_and_initializers_follow_the_nodes() -> None:
    normal = normal_form(exported())
    assert [tensor.name for tensor in normal.graph.initializer] == [
        "body.0.rdb1.conv1.weight",
        "body.0.rdb1.conv1.bias",
        "/body/body.0/rdb1/Mul.factor",
        "body.1.weight",
        "/Resize.scales",
    ]
    assert [node.name for node in normal.graph.node] == [
        node.name for node in exported().graph.node
    ]
    assert [node.op_type for node in normal.graph.node] == ["Conv", "Mul", "PRelu", "Resize"]


def test_it_computes_what_the_exported_graph_does_and_leaves_that_alone() -> None:
    model = exported()
    before = content(model)
    picture = np.random.default_rng(0).random((1, 2, 3, 3), np.float32)
    found, expected = (
        ReferenceEvaluator(m).run(None, {"input": picture})[0] for m in (normal_form(model), model)
    )
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (1, 2, 6, 6)
    assert content(model) == before


def documented(model: onnx.ModelProto) -> onnx.ModelProto:
    model.doc_string = model.graph.doc_string = "traced on host at noon"
    model.producer_name, model.producer_version = "pytorch", "2.9"
    model.metadata_props.add(key="path", value="/home/user")
    for node in model.graph.node:
        node.doc_string = "/home/user/network.py(12): forward"
        node.metadata_props.add(key="scope", value="/home/user")
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = "picture"
    model.graph.name = "main_graph"
    return model


def reordered(model: onnx.ModelProto) -> onnx.ModelProto:
    tensors = list(model.graph.initializer)[::-1]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    return model


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: exported({role: f"x{role}" for role in VALUES}), id="other names"),
        pytest.param(
            lambda: exported(constants="[k] onnx_factor_7 = Constant<value = float {0.25}>()"),
            id="a Constant node",
        ),
        pytest.param(lambda: documented(exported()), id="doc strings, metadata and producer"),
        pytest.param(lambda: reordered(exported()), id="another order of initializers"),
        pytest.param(lambda: onnx.shape_inference.infer_shapes(exported()), id="shapes stated"),
        pytest.param(lambda: normal_form(exported()), id="in normal form already"),
    ],
)
def test_exports_of_the_same_network_are_equal_to_the_byte(other) -> None:
    assert content(normal_form(other())) == content(normal_form(exported()))


def test_parameters_that_torch_merged_are_parted() -> None:
    """Equal weights are one initializer in torch's export; each node gets its own back."""
    model = onnx.parser.parse_model(
        HEADER
        + """g (float[1,1,2,2] input) => (float[1,1,2,2] output) <float[1,1,1,1] same = {2.0}>
        { [Na_SConv] x = Conv(input, same) [Nb_SConv] output = Conv(x, same) }"""
    )
    for node in model.graph.node:
        node.name = "/" + node.name[1:].replace("_S", "/")
    normal = normal_form(model)
    assert [tensor.name for tensor in normal.graph.initializer] == ["a.weight", "b.weight"]
    for tensor in normal.graph.initializer:
        assert numpy_helper.to_array(tensor).item() == 2.0


PARAMETERS = {
    "body.0.rdb1.conv1.weight": np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3)
    / np.float32(10),
    "body.0.rdb1.conv1.bias": np.float32([0.5, -0.5]),
    "body.1.weight": np.float32([0.1, 0.3]),
}


def test_a_sound_graph_holds_every_parameter_bit_for_bit() -> None:
    require_sound(normal_form(exported()), PARAMETERS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body.1.weight", np.nextafter(PARAMETERS["body.1.weight"], np.float32(1))),
        ("body.1.weight", PARAMETERS["body.1.weight"].astype(np.float64)),
        ("body.2.weight", PARAMETERS["body.1.weight"]),
    ],
    ids=["the next float", "another type", "missing"],
)
def test_a_changed_weight_is_named(name, value) -> None:
    with pytest.raises(GraphError, match=f"simplification changed the weight '{name}'"):
        require_sound(normal_form(exported()), {**PARAMETERS, name: value})


@pytest.mark.parametrize("how", ["unknown", "not stated"])
def test_a_shape_that_is_not_static_is_named(how) -> None:
    model = normal_form(exported())
    (value,) = (value for value in model.graph.value_info if value.name == "b")
    if how == "unknown":
        value.type.tensor_type.shape.dim[2].dim_param = "height"
    else:
        model.graph.value_info.remove(value)
    with pytest.raises(GraphError, match="tensor 'b' has no static shape"):
        require_sound(model, PARAMETERS)
