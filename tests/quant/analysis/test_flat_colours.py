"""What a convolution makes of flat colours: the extremes over all of them."""

from collections.abc import Callable
from itertools import product

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.flat_colours import flat_colour_range

BIASED = """<ir_version: 8, opset_import: ["" : 17]>
head (float[1,3,6,6] input) => (float[1,4,4,4] output)
<float[4,3,3,3] w, float[4] b>
{
  [conv] output = Conv(input, w, b)
}
"""
PLAIN = BIASED.replace("(input, w, b)", "(input, w)").replace(", float[4] b", "")
BEHIND = BIASED.replace(
    "[conv] output = Conv(input,", "[relu] x = Relu(input)\n  [conv] output = Conv(x,"
)
COMPUTED = BIASED.replace(
    "[conv] output = Conv(input, w,", "[same] v = Relu(w)\n  [conv] output = Conv(input, v,"
)


@pytest.mark.parametrize("text", [BIASED, PLAIN], ids=["bias", "no bias"])
def test_no_flat_colour_reaches_further(
    text: str, parsed: Callable[[str], onnx.ModelProto]
) -> None:
    model = parsed(text)
    index = GraphIndex(model)
    found = flat_colour_range(index, index.nodes[0])
    session = Session(model, optimized=False, threads=1)
    corners = [np.array(colour, np.float32) for colour in product((0.0, 1.0), repeat=3)]
    drawn = np.stack(
        [
            session.run({"input": np.broadcast_to(c.reshape(1, 3, 1, 1), (1, 3, 6, 6)).copy()})[
                "output"
            ][0, :, 0, 0]
            for c in corners
        ]
    )
    np.testing.assert_allclose(found[:, 0], drawn.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(found[:, 1], drawn.max(axis=0), atol=1e-5)


@pytest.mark.parametrize("text", [BEHIND, COMPUTED], ids=["behind", "computed weights"])
def test_what_does_not_see_the_picture_has_none(
    text: str, parsed: Callable[[str], onnx.ModelProto]
) -> None:
    index = GraphIndex(parsed(text))
    assert flat_colour_range(index, index.nodes[1]) is None
