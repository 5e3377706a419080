"""Lowerings of single patterns: in every spelling, and what each leaves alone with the reason."""

import numpy as np
import onnx
import pytest

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from quant.passes.equivalence import Probe
from quant.passes.lowering.catalogue import (
    LOWERINGS,
    LoweredGraph,
    lower_graph,
    parse_lowerings,
    require_quantizable,
)
from quant.passes.lowering.replace import LeftAlone, Replacement
from quant.targets import PROFILES

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
ENLARGED = """g (float[1,2,4,5] input) => (float[1,3,{height},{width}] output)
<float[4] scales = {{1.0, 1.0, {factor}, {factor}}}, float[3,2,{kernel},{kernel}] w, float[3] b,
 float[3,1,1] slope>
{{
  [up] large = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",
                      nearest_mode="{rounding}">(input, , scales)
  [conv] made = Conv<pads=[{pad},{pad},{pad},{pad}], strides=[{stride},{stride}]>(large, w{bias})
  [act] output = {activation}
}}"""
ACTIVATIONS = {
    "prelu": "PRelu(made, slope)",
    "leaky": "LeakyRelu<alpha=0.1>(made)",
    "relu": "Relu(made)",
    "none": "Identity(made)",
}
SHUFFLES = """g (float[1,{inputs},4,6] input) => (float[1,{outputs},{height},{width}] output)
{{
  [shuffle] output = {operator}<blocksize=2{mode}>(input)
}}"""
UNSHUFFLED = """g (float[1,2,4,6] input) => (float[1,3,2,3] output) <float[3,8,3,3] w>
{
  [unshuffle] small = SpaceToDepth<blocksize=2>(input)
  [conv] output = Conv<pads=[1,1,1,1]>(small, w)
}"""


def enlarged(**chosen: object) -> str:
    given = {"factor": 2, "kernel": 3, "stride": 1, "rounding": "floor", "bias": ", b"} | chosen
    side = int(given["factor"])
    given |= {
        "activation": ACTIVATIONS[str(given.get("activation", "leaky"))],
        "factor": f"{side}.0",
        "pad": int(given["kernel"]) // 2,
        "height": 4 * side // int(given["stride"]),
        "width": -(-5 * side // int(given["stride"])),
    }
    return HEADER + ENLARGED.format(**given)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.fixture(scope="module")
def lowered(parsed, probes):
    """A function from a graph's text and names of lowerings to the proven result."""

    def lower(text: str, *names: str) -> LoweredGraph:
        model = parsed(text)
        return lower_graph(model, names, [Probe(values) for values in probes(model, 2)])

    return lower


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("bias", [", b", ""], ids=["bias", "no bias"])
def test_phases_and_back(lowered, parsed, activation, factor, bias) -> None:
    text = enlarged(activation=activation, factor=factor, bias=bias)
    there = lowered(text, "resize-to-phases")
    assert "Resize" not in operators(there.model)
    assert operators(there.model)[-2:] == (
        ["Slice", "Identity"] if activation == "none" else ["DepthToSpace", "Slice"]
    )
    if activation == "prelu":  # its slopes are for the phases now
        return
    back = lower_graph(there.model, ["phases-to-resize"], there.probes)
    assert operators(back.model) == operators(parsed(text))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_an_enlargement_becomes_one_transposed_convolution(lowered, kernel) -> None:
    found = lowered(enlarged(kernel=kernel), "resize-to-convtranspose")
    assert operators(found.model) == ["ConvTranspose", "LeakyRelu"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (enlarged(kernel=5), "resize-to-phases"),
        (enlarged(stride=2), "resize-to-phases"),
        (enlarged(stride=2), "resize-to-convtranspose"),
        (
            HEADER
            + SHUFFLES.format(
                inputs=8, outputs=2, height=8, width=12, operator="DepthToSpace", mode=""
            ),
            "phases-to-resize",
        ),
    ],
    ids=["kernel", "stride", "stride, transposed", "no convolution"],
)
def test_what_does_not_fit_stays_and_is_told(lowered, text, name) -> None:
    found = lowered(text, name)
    assert found.proofs == ()
    (left,) = found.left[name]
    assert list(found.notes()) == [f"--lower {name} leaves {left.node} as it is: {left.reason}"]


def test_another_rounding_is_no_repetition_of_pixels(lowered) -> None:
    found = lowered(enlarged(rounding="ceil"), "resize-to-phases")
    assert list(found.notes()) == [
        "--lower resize-to-phases changes nothing: the network has nothing of the kind"
    ]


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("depthtospace-to-transpose", ["Reshape", "Transpose", "Reshape"]),
        ("depthtospace-to-convtranspose", ["ConvTranspose"]),
    ],
)
def test_a_pixel_shuffle_copies_bit_for_bit(lowered, mode, name, expected) -> None:
    sizes = {"inputs": 8, "outputs": 2, "height": 8, "width": 12}
    text = SHUFFLES.format(operator="DepthToSpace", mode=f', mode="{mode}"', **sizes)
    found = lowered(HEADER + text, name)
    assert operators(found.model) == expected
    assert [proof.equivalence.max_abs_error for proof in found.proofs] == [0.0]


def test_an_unshuffle_in_the_other_order_becomes_a_strided_convolution(lowered) -> None:
    found = lowered(HEADER + UNSHUFFLED, "spacetodepth-to-conv")
    assert operators(found.model) == ["Conv"]


def test_a_clip_bounds_the_picture_and_nothing_else(lowered, parsed, probes) -> None:
    found = lowered(enlarged(), "clip-output")
    assert operators(found.model)[-1] == "Clip"
    (picture,) = found.probes[0].outputs.values()
    assert picture.min() == 0.0
    assert 0.0 < picture.max() <= 1.0
    again = lower_graph(found.model, ["clip-output"], found.probes)
    assert again.left["clip-output"] == (
        LeftAlone("output", "it is clipped already, or the network reads it again"),
    )


def test_a_lowering_that_changes_the_network_is_named(parsed, probes, monkeypatch) -> None:
    def spoiled(index: GraphIndex):
        (node,) = (node for node in index.nodes if node.op_type == "LeakyRelu")
        yield Replacement([node], [onnx.helper.make_node("Relu", node.input, node.output, "r")])

    broken = LOWERINGS["leakyrelu-to-max"]
    monkeypatch.setitem(
        LOWERINGS, "leakyrelu-to-max", type(broken)(broken.name, broken.summary, spoiled)
    )
    model = parsed(enlarged())
    with pytest.raises(GraphError, match="pass 'leakyrelu-to-max' does not keep the network"):
        lower_graph(model, ["leakyrelu-to-max"], [Probe(probes(model, 1)[0])])


def test_names_are_put_in_order_and_unknown_or_contrary_ones_refused() -> None:
    assert parse_lowerings(["clip-output,prelu-to-relu"]) == ("prelu-to-relu", "clip-output")
    with pytest.raises(UsageError, match="found --lower 'gelu'; choose among resize-to-phases"):
        parse_lowerings(["gelu"])
    for item in LOWERINGS.values():
        for other in item.excludes:
            with pytest.raises(UsageError, match=f"{item.name} beside {other}; give one"):
                parse_lowerings([other, item.name])


@pytest.mark.parametrize("name", LOWERINGS)
@pytest.mark.parametrize("target", PROFILES)
def test_only_what_a_plan_quantizes_goes_where_every_operator_is(name, target) -> None:
    profile = PROFILES[target]
    refused = LOWERINGS[name].float_only
    for full in (False, True):
        if refused and (full or profile.every_operator):
            with pytest.raises(UsageError, match=f"--lower {name} leaves an operator"):
                require_quantizable([name], profile, full_integer=full)
        else:
            require_quantizable([name], profile, full_integer=full)


def test_the_slopes_of_a_prelu_become_a_pair_of_relus(lowered) -> None:
    found = lowered(enlarged(activation="prelu"), "prelu-to-relu", "leakyrelu-to-max")
    assert operators(found.model)[2:] == ["Relu", "Mul", "Relu", "Mul", "Add"]
    assert found.counts == {"prelu-to-relu": 1, "leakyrelu-to-max": 0}
    assert np.isinf([proof.equivalence.psnr_db for proof in found.proofs]).all()
