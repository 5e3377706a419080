"""Every form of a picture, on graphs whose ends are of every kind: the same picture, and back."""

import itertools
from typing import get_args

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from calib.errors import GraphError
from calib.form import ChannelOrder, Form, Layout, Values
from calib.graph import form_of
from calib.runtime import Session
from quant.passes.equivalence import Probe
from quant.passes.forms.byte_input import ROUNDED_KEY
from quant.passes.forms.form import in_form, in_usual_form, prove_form
from quant.plan import QuantOptions
from quant.qdq.rules import check_rules
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, make_plan
from tests.quant.conftest import COMPACT, HEADER, RESIDUAL

FORMS = [
    form
    for chosen in itertools.product(*map(get_args, (Values, Layout, ChannelOrder)))
    if not (form := Form(*chosen)).usual
]
EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids=str)
ENDS = """g (float[2,3,8,12] input) => (float[2,3,{rows},{columns}] output)
<float[{features},{reads},3,3] w0, float[{features}] b0, float[{makes},{features},3,3] w1, {more}>
{{
  {first}
  [conv0] f0 = Conv<pads=[1,1,1,1]>({read}, w0, b0)
  [act] f1 = LeakyRelu<alpha=0.2>(f0)
  [conv1] made = Conv<pads=[1,1,1,1]>(f1, w1)
  {last}
}}"""


def ends(first: str, last: str, **sizes: object) -> str:
    """Return a graph of two convolutions with operators of choice at its ends."""
    usual = {"features": 5, "reads": 3, "makes": 3, "rows": 8, "columns": 12, "read": "input"}
    more = {"more": "float unread = {0.0}"}
    return HEADER + ENDS.format(first=first, last=last, **(usual | more | sizes))


SMALL = {"rows": 4, "columns": 6, "reads": 12, "read": "small"}
LARGE = {"rows": 16, "columns": 24, "makes": 12}
IDENTITY = "output = Identity(made)"
SHAPES = "int64[{}] {} = {{{}}}"
GRAPHS = {
    "residual": RESIDUAL,
    "compact": COMPACT,
    "one convolution": HEADER
    + """g (float[1,3,8,8] input) => (float[1,3,8,8] output) <float[3,3,3,3] w, float[3] b>
    { output = Conv<pads=[1,1,1,1]>(input, w, b) }""",
    "space to depth": ends("small = SpaceToDepth<blocksize=2>(input)", IDENTITY, **SMALL),
    "unshuffle": ends(
        "r = Reshape(input, s0) t = Transpose<perm=[0,1,3,5,2,4]>(r) small = Reshape(t, s1)",
        IDENTITY,
        **SMALL,
        more=f"{SHAPES.format(6, 's0', '2,3,4,2,6,2')}, {SHAPES.format(4, 's1', '2,12,4,6')}",
    ),
    **{
        f"depth to space {mode}": ends(
            "", f'output = DepthToSpace<blocksize=2, mode="{mode}">(made)', **LARGE
        )
        for mode in ("CRD", "DCR")
    },
    **{
        f"shuffle {order}": ends(
            "",
            f"r = Reshape(made, s0) t = Transpose<perm=[{perm}]>(r) output = Reshape(t, s1)",
            **LARGE,
            more=f"{SHAPES.format(6, 's0', split)}, {SHAPES.format(4, 's1', '2,3,16,24')}",
        )
        for order, split, perm in (
            ("CRD", "2,3,2,2,8,12", "0,1,4,2,5,3"),
            ("DCR", "2,2,2,3,8,12", "0,3,4,1,5,2"),
        )
    },
    "constants for each channel": ends(
        "less = Sub(input, mean) scaled = Mul(less, deviation)",
        "p = PRelu(made, slope) output = Clip(p, low, high)",
        read="scaled",
        more="float[1,3,1,1] mean, float[3,1,1] deviation, float[3,1,1] slope, "
        "float low = {0.0}, float high = {1.0}",
    ),
    "skip": ends("", "sum = Add(made, input) output = Add(sum, half)", more="float half = {0.5}"),
    "transposed": ends(
        "",
        "output = ConvTranspose<strides=[2,2]>(made, up, offset)",
        rows=16,
        columns=24,
        more="float[3,3,2,2] up, float[3] offset",
    ),
}


def drawn(model: onnx.ModelProto, picture: np.ndarray, *, optimized: bool = False) -> np.ndarray:
    """Run a model on a picture in the usual form, whatever its own."""
    form = form_of(model)
    session = Session(model, optimized=optimized, threads=1)
    return form.planes_given(session.run({"input": form.taken(picture)})["output"])


@EVERY_FORM
@pytest.mark.parametrize("name", GRAPHS)
def test_a_float_graph_draws_the_same_and_is_taken_back(parsed, probes, name, form) -> None:
    model = parsed(GRAPHS[name])
    (picture,) = probes(model, 1)
    formed = in_form(model, form)
    assert prove_form(model, formed, Probe(picture)).psnr_db >= 120.0
    assert form_of(formed) == form
    (taken,), (given_out,) = formed.graph.input, formed.graph.output
    for end, planar in ((taken, picture.shape), (given_out, drawn(model, picture).shape)):
        dims = tuple(dim.dim_value for dim in end.type.tensor_type.shape.dim)
        assert dims == form.shape(planar)
    assert (taken.type.tensor_type.elem_type == TensorProto.UINT8) == (form.values == "uint8")
    assert in_usual_form(formed).SerializeToString() == model.SerializeToString()


@EVERY_FORM
@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("network", ["residual", "compact", "compact, full integer"])
def test_a_qdq_graph_draws_the_same_by_the_same_rules(
    request, probes, network, target, form
) -> None:
    name, *full = network.split(", ")
    model, table = map(request.getfixturevalue, (name, f"{name}_table"))
    options = QuantOptions(full_integer=bool(full))
    quantized = emit_qdq(model, make_plan(model, table, PROFILES[target], options))
    formed = in_form(quantized, form)
    assert check_rules(formed, PROFILES[target]) == check_rules(quantized, PROFILES[target]) == ()
    exact = form.channel_order == "rgb" and (form.values == "float" or target == "qnn")
    for picture in probes(model, 1):
        error = np.abs(drawn(formed, picture) - drawn(quantized, picture))
        # A sum in another order, or x * (1/255) for x / 255, may round a value to the next code.
        assert error.max() <= (0.0 if exact else 0.05)
        assert np.square(error).mean() <= 2e-6


def test_bytes_are_codes_where_codes_are_unsigned(compact, compact_table) -> None:
    """A chip takes them as they come: nothing multiplies, and nothing quantizes the picture."""
    for target, multiplied in (("qnn", []), ("ort", []), ("openvino", []), ("tensorrt", ["Mul"])):
        plan = make_plan(compact, compact_table, PROFILES[target], QuantOptions())
        formed = in_form(emit_qdq(compact, plan), Form("uint8"))
        readers = [node for node in formed.graph.node if "input" in node.input]
        assert {node.op_type for node in readers} == (
            {"Cast"} if multiplied else {"DequantizeLinear"}
        )
        assert [node.op_type for node in formed.graph.node if node.op_type == "Mul"] == multiplied


def test_the_division_is_in_the_weights_of_what_reads_the_picture(parsed) -> None:
    formed = in_form(parsed(GRAPHS["residual"]), Form("uint8"))
    assert [node.op_type for node in formed.graph.node][:2] == ["Cast", "Conv"]
    assert "Mul" not in [node.op_type for node in formed.graph.node if "bytes" in node.name]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_divided_weights_are_found_again_to_the_bit(values: list[float]) -> None:
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights.reshape(-1)[: len(values)] = values
    model = onnx.parser.parse_model(
        HEADER
        + """g (float[1,3,2,2] input) => (float[1,3,2,2] output) <float[3,3,1,1] w>
        { [conv] output = Conv(input, w) }"""
    )
    del model.graph.value_info[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    again = in_usual_form(in_form(model, Form("uint8")))
    assert again.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("scaled = ReduceMean<axes=[1]>(input)", IDENTITY),
        ("scaled = Conv<group=3>(input, depthwise)", IDENTITY),
        ("", "output = Softmax<axis=1>(made)"),
        ("", "mean = ReduceMean<axes=[1]>(made) output = Add(made, mean)"),
    ],
    ids=["mean", "depthwise", "softmax", "mean behind"],
)
def test_what_looks_at_channels_in_its_own_way_is_named(parsed, first, last) -> None:
    reads = 1 if "ReduceMean" in first else 3
    model = parsed(
        ends(
            first,
            last,
            read="scaled" if first else "input",
            reads=reads,
            more="float[3,1,1,1] depthwise",
        )
    )
    for node, name in zip(model.graph.node, "abcdef", strict=False):
        node.name = node.name or name
    with pytest.raises(
        GraphError, match=r"stands between the picture .* leave out --channel-order"
    ):
        in_form(model, Form(channel_order="bgr"))
    assert in_form(model, Form("uint8", "nhwc")).graph.node  # which look at no channel


def test_weights_that_others_read_as_well_are_named(parsed) -> None:
    shared = """g (float[1,3,8,8] input) => (float[1,3,8,8] output) <float[3,3,3,3] w>
    { [first] f = Conv<pads=[1,1,1,1]>(input, w) [second] output = Conv<pads=[1,1,1,1]>(f, w) }"""
    with pytest.raises(GraphError, match="shares 'w' with others"):
        in_form(parsed(HEADER + shared), Form(channel_order="bgr"))


def said(key: str, value: str):
    def change(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key=key, value=value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (said("esrdeploy.layout", "chwn"), "'chwn'; expected nchw or nhwc"),
        (said("esrdeploy.layout", "nhwc"), "0 transpositions of the picture, expected 2"),
        (said(ROUNDED_KEY, "{"), "cannot be read"),
        (said(ROUNDED_KEY, '{"w9": {"0": 1}}'), "speak of weights"),
        (said(ROUNDED_KEY, '{"w0": {"999999": 1}}'), "not written for"),
    ],
    ids=["no layout", "another layout", "no JSON", "no weight", "no place"],
)
def test_metadata_that_lie_are_refused(parsed, change, message) -> None:
    model = in_form(parsed(GRAPHS["residual"]), Form("uint8"))
    kept = [item for item in model.metadata_props if item.key == "esrdeploy.input"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    change(model)
    with pytest.raises(GraphError, match=message):
        in_usual_form(model)
