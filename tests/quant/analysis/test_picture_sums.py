"""Which tensors a network adds to its picture, and which only look like it."""

from collections.abc import Callable

import onnx
import pytest

from calib.graph import GraphIndex
from quant.analysis.picture_sums import picture_sum
from quant.analysis.topology import Topology

NEAREST = 'Resize<mode="nearest", coordinate_transformation_mode="asymmetric"'


def shallow(
    base: str = NEAREST + ', nearest_mode="floor">(input, , scales)',
    add: str = "details, base",
    more: str = "",
    end: str = "[sum] output = Add({add})",
    outputs: str = "",
) -> str:
    """A convolution whose shuffled output is added to the enlarged picture."""
    return f"""<ir_version: 8, opset_import: ["" : 17]>
shallow (float[1,3,8,8] input) => (float[1,3,16,16] output{outputs})
<float[12,3,3,3] w, float[12] b, float[4] scales = {{1.0, 1.0, 2.0, 2.0}}>
{{
  [conv] made = Conv<pads=[1,1,1,1]>(input, w, b)
  [shuffle] details = DepthToSpace<blocksize=2, mode="CRD">(made)
  [up] base = {base}
  {more}
  {end.format(add=add)}
}}
"""


SUMS = {
    "as SRVGG has it": (shallow(), "base", "output"),
    "the picture first": (shallow(add="base, details"), "base", "output"),
    "moved behind": (
        shallow(end="[sum] total = Add({add})\n  [same] output = Identity(total)"),
        "base",
        "total",
    ),
    "moved on the way": (
        shallow(add="d, base", more="[i] d = Identity(details)"),
        "base",
        "output",
    ),
}
NOT_SUMS = {
    "interpolated": shallow(base=NEAREST.replace("nearest", "linear") + ">(input, , scales)"),
    "computed from the picture": shallow(more="[relu] bright = Relu(base)", add="details, bright"),
    "added to itself": shallow(add="details, details"),
    "no picture": shallow(add="details, other", more="[shuffle2] other = Identity(details)"),
    "read twice": shallow(outputs=", float[1,3,16,16] o", more="[relu] o = Relu(details)"),
    "given out itself": shallow(outputs=", float[1,3,16,16] details"),
    "multiplied": shallow(end="[sum] output = Mul({add})"),
    "computed behind": shallow(end="[sum] total = Add({add})\n  [relu] output = Relu(total)"),
}


@pytest.mark.parametrize("case", SUMS)
def test_finds_what_makes_the_picture(case: str, parsed: Callable[[str], onnx.ModelProto]) -> None:
    text, other, total = SUMS[case]
    topology = Topology(GraphIndex(parsed(text)))
    assert picture_sum(topology, "made") == (other, total)
    assert picture_sum(topology, "details") == (other, total)


@pytest.mark.parametrize("case", NOT_SUMS)
def test_leaves_all_else(case: str, parsed: Callable[[str], onnx.ModelProto]) -> None:
    topology = Topology(GraphIndex(parsed(NOT_SUMS[case])))
    assert picture_sum(topology, "made") is None


def test_no_trunk_is_a_picture(residual: onnx.ModelProto) -> None:
    topology = Topology(GraphIndex(residual))
    tensors = [name for node in topology.operators for name in node.output]
    assert tensors
    assert not any(picture_sum(topology, name) for name in tensors)
