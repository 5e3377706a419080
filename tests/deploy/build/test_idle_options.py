"""Options that change nothing are told, and those that change something are not."""

import onnx
import pytest

from calib.graph import GraphIndex
from deploy.build.budget import Budget
from deploy.build.idle_options import idle_options, options_without_nodes
from deploy.build.request import BuildRequest
from quant.plan import QuantOptions
from quant.planner import part_precisions
from quant.targets import PROFILES


def told(request: BuildRequest, *, targets: bool = True) -> list[str]:
    return list(idle_options(request, targets=targets))


@pytest.mark.parametrize("target", PROFILES)
def test_full_integer_is_told_where_nothing_is_in_float_anyway(target: str) -> None:
    request = BuildRequest("x", targets=(target,), quantization=QuantOptions(full_integer=True))
    lines = told(request)
    assert bool(lines) == ("float" not in PROFILES[target].precisions)
    assert all(line.startswith(f"--full-integer changes nothing for {target}") for line in lines)


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("part", ["head", "trunk", "tail"])
def test_a_part_is_told_where_it_asks_for_the_default(target: str, part: str) -> None:
    profile = PROFILES[target]
    default = part_precisions(profile, QuantOptions())[part]
    for precision in profile.precisions:
        options = QuantOptions(**{part: precision})
        lines = told(BuildRequest("x", targets=(target,), quantization=options))
        assert bool(lines) == (precision == default)


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("tail", [None, "int8"])
def test_upsampling_is_told_where_the_tail_is_quantized(target: str, tail: str | None) -> None:
    profile = PROFILES[target]
    if tail is not None and tail not in profile.precisions:
        return
    options = QuantOptions(upsampling="convtranspose", tail=tail)
    lines = told(BuildRequest("x", targets=(target,), quantization=options))
    in_float = (tail or profile.tail) == "float"
    found = [line for line in lines if line.startswith("--upsampling convtranspose changes")]
    assert bool(found) == (not in_float)


def test_options_of_int8_are_told_where_none_is_built() -> None:
    options = QuantOptions(percentile=99.0, trunk="float")
    request = BuildRequest(
        "x", precision="fp16", quantization=options, budget=Budget.of(None, 40.0)
    )
    (line,) = told(request)
    assert line.startswith("--percentile, --trunk, --target, the budget: nothing changes")
    assert told(BuildRequest("x", precision="fp16"), targets=False) == []
    assert told(BuildRequest("x"), targets=True) == []


COMPACT = """
<ir_version: 8, opset_import: ["": 17]>
compact (float[1,3,4,4] x) => (float[1,3,4,4] y)
<float[3,3,1,1] w = {1,0,0,0,1,0,0,0,1}, float[12,3,1,1] v = {
  1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}>
{
  [first] a = Conv(x, w)
  [last] b = Conv(a, v)
  [shuffle] y = DepthToSpace<blocksize = 2>(b)
}
"""


def test_a_part_that_the_network_lacks_is_told() -> None:
    graph = GraphIndex(onnx.parser.parse_model(COMPACT))
    for part, lacking in (("head", False), ("trunk", True), ("tail", True)):
        lines = list(options_without_nodes(QuantOptions(**{part: "int8"}), graph))
        assert bool(lines) == lacking
        assert all(line.startswith(f"--{part} int8 changes nothing") for line in lines)
    assert list(options_without_nodes(QuantOptions(), graph)) == []


ENLARGING = """
<ir_version: 8, opset_import: ["": 17]>
enlarging (float[1,3,4,4] x) => (float[1,3,8,8] y)
<float[3,3,1,1] w = {1,0,0,0,1,0,0,0,1}, float[4] s = {1,1,2,2}>
{
  [first] a = Conv(x, w)
  [up] b = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",
    nearest_mode = "floor">(a, , s)
  [last] y = Conv(b, w)
}
"""


@pytest.mark.parametrize(("text", "lacking"), [(COMPACT, True), (ENLARGING, False)])
def test_an_upsampling_that_finds_no_enlargement_is_told(text: str, lacking: bool) -> None:
    graph = GraphIndex(onnx.parser.parse_model(text))
    (*lines,) = options_without_nodes(QuantOptions(upsampling="convtranspose"), graph)
    assert bool(lines) == lacking
    assert all(line.startswith("--upsampling convtranspose changes nothing") for line in lines)
    assert list(options_without_nodes(QuantOptions(upsampling="resize"), graph)) == []
