"""Which Resizes repeat pixels, held against what onnxruntime draws."""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.passes.lowering.patterns import enlargement

PLACES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def resize(options: str, factor: int) -> onnx.ModelProto:
    sides = f"{5 * factor},{7 * factor}"
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,2,5,7] x) => (float[1,2,{sides}] y)
    <float[4] scales = {{1.0, 1.0, {factor}.0, {factor}.0}}>
    {{ y = Resize<{options}>(x, , scales) }}""")


def repeats(model: onnx.ModelProto, factor: int) -> bool:
    picture = np.random.default_rng(0).random((1, 2, 5, 7), np.float32)
    drawn = Session(model, optimized=False).run({"x": picture})["y"]
    return np.array_equal(drawn, picture.repeat(factor, 2).repeat(factor, 3))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("places", PLACES)
def test_an_enlargement_is_one_in_every_spelling(places: str, rounding: str, factor: int) -> None:
    options = f'coordinate_transformation_mode="{places}", nearest_mode="{rounding}"'
    model = resize(options, factor)
    (node,) = model.graph.node
    # Where corners are aligned, places depend on the size: at another it may not be one.
    expected = factor if places != "align_corners" and repeats(model, factor) else None
    assert enlargement(GraphIndex(model), node) == expected


@pytest.mark.parametrize(("options", "expected"), [('mode="nearest"', 2), ('mode="linear"', None)])
def test_what_is_not_said_is_what_onnx_takes(options: str, expected: int | None) -> None:
    model = resize(options, 2)
    (node,) = model.graph.node
    assert repeats(model, 2) == (expected is not None)
    assert enlargement(GraphIndex(model), node) == expected
