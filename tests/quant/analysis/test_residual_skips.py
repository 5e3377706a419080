"""Which additions a convolution can take up, and what its weights then are."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.residual_skips import residual_skip, residual_skips
from quant.passes.fold import fold
from tests.quant.by_model import prove_equal


def dense(  # noqa: PLR0917  # one for each part of it
    add: str = "made, input",
    joined: str = "input, g",
    conv: str = "Conv<pads=[1,1,1,1]>(u, w, b)",
    declared: str = "float[3,5,3,3] w",
    more: str = "",
    outputs: str = "",
) -> str:
    """A dense block of one growth tensor, whose last convolution makes ``made``."""
    return f"""<ir_version: 8, opset_import: ["" : 17]>
dense (float[1,3,6,6] input) => (float[1,3,6,6] output{outputs})
<float[2,3,3,3] w1, {declared}, float[3] b>
{{
  [conv1] g = Conv<pads=[1,1,1,1]>(input, w1)
  [cat] u = Concat<axis=1>({joined})
  [conv] made = {conv}
  {more}
  [sum] total = Add({add})
  [end] output = Relu(total)
}}
"""


SKIPS = {
    "joined": (dense(), 0),
    "the skip first": (dense("input, made"), 0),
    "joined last": (dense(joined="g, input"), 2),
    "read alone": (dense(conv="Conv<pads=[1,1,1,1]>(input, w, b)", declared="float[3,3,3,3] w"), 0),
    "one pixel": (dense(conv="Conv(u, w, b)", declared="float[3,5,1,1] w"), 0),
    "dilated": (dense(conv="Conv<pads=[2,2,2,2],dilations=[2,2]>(u, w, b)"), 0),
}
NOT_SKIPS = {
    "added to itself": dense("made, made"),
    "of no tensor it reads": dense("made, other", more="[relu] other = Relu(input)"),
    "behind an activation": dense("act, input", more="[relu] act = Relu(made)"),
    "read twice": dense("made, input", more="[relu] act = Relu(made)"),
    "given out": dense(outputs=", float[1,3,6,6] made"),
    "sum given out": dense(outputs=", float[1,3,6,6] total"),
    "weight read twice": dense(more="[again] other = Conv<pads=[1,1,1,1]>(u, w, b)"),
    "padded to one side": dense(conv="Conv<pads=[0,0,2,2]>(u, w, b)"),
    "no middle": dense(conv="Conv<pads=[0,0,1,1]>(u, w, b)", declared="float[3,5,2,2] w"),
    "padded as it likes": dense(conv='Conv<auto_pad="SAME_UPPER">(u, w, b)'),
    "in groups": dense(
        conv="Conv<pads=[1,1,1,1],group=3>(input, w, b)", declared="float[3,1,3,3] w"
    ),
}


@pytest.mark.parametrize("name", SKIPS)
def test_a_skip_that_is_folded_draws_the_same(
    name: str, parsed: Callable, probes: Callable
) -> None:
    text, offset = SKIPS[name]
    model = parsed(text)
    before = model.SerializeToString(deterministic=True)
    (skip,) = residual_skips(GraphIndex(model))
    assert (skip.node.name, skip.offset) == ("sum", offset)
    folded = fold(model, ["sum"])
    onnx.checker.check_model(folded.model, full_check=True)
    assert prove_equal(model, folded.model, probes(model)).psnr_db > 120.0
    assert [node.name for node in folded.model.graph.node] == ["conv1", "cat", "conv", "end"]
    assert folded.model.graph.node[2].output == ["total"]
    assert folded.tensors == {}
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("name", NOT_SKIPS)
def test_what_is_no_skip_is_refused(name: str, parsed: Callable) -> None:
    model = parsed(NOT_SKIPS[name])
    assert residual_skips(GraphIndex(model)) == ()
    with pytest.raises(GraphError, match="or to add to it what the convolution reads"):
        fold(model, ["sum"])


def test_a_skip_says_how_much_coarser_steps_of_the_weight_get(parsed: Callable) -> None:
    model = parsed(dense())
    weight = np.zeros((3, 5, 3, 3), np.float32)
    weight[:, 4, 0, 0] = [0.5, 1.0, 1.0]  # the largest of each row
    weight[range(3), range(3), 1, 1] = [0.0, -1.0, -0.25]  # where a one is added
    (held,) = (held for held in model.graph.initializer if held.name == "w")
    held.CopyFrom(numpy_helper.from_array(weight, "w"))
    index = GraphIndex(model)
    (node,) = (node for node in index.nodes if node.name == "sum")
    skip = residual_skip(index, node)
    assert skip is not None
    # The rows' largest become 1, 1, and 1 where they were 0.5, 1 and 1.
    assert skip.coarser() == pytest.approx(2.0 ** (1 / 3))


def test_a_scale_of_the_sum_is_folded_behind_the_skip(parsed: Callable, probes: Callable) -> None:
    scaled = dense(more="[sum] body = Add(made, input)").replace(
        "[sum] total = Add(made, input)", "[scale] total = Mul(body, k)"
    )
    model = parsed(scaled.replace("float[3] b>", "float[3] b, float k = {0.25}>"))
    for order in (["sum", "scale"], ["scale", "sum"]):
        folded = fold(model, order)
        assert [node.name for node in folded.model.graph.node] == ["conv1", "cat", "conv", "end"]
        assert prove_equal(model, folded.model, probes(model)).psnr_db > 120.0
        assert set(folded.tensors) == {"body"}
        np.testing.assert_array_equal(folded.tensors["body"], 4.0)
