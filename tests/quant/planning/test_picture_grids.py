"""What a network adds to its picture lies on the picture's own grid, wherever that loses less."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.table import CalibrationTable
from quant.numerics.affine import INTEGER_TYPES
from quant.numerics.picture_grid import PICTURE_STEP
from quant.plan import QuantOptions
from quant.refinement.recorded_scales import free_scales
from quant.targets import PROFILES
from tests.quant.by_model import make_plan, prepare

RULE = "pinned to the picture's own grid"


@pytest.fixture(scope="module")
def quiet(compact: onnx.ModelProto) -> onnx.ModelProto:
    """The compact network, with details of a tenth of their size."""
    return with_details(compact, 0.1)


def with_details(compact: onnx.ModelProto, size: float) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    for tensor in model.graph.initializer:
        if tensor.name in {"w2", "b2"}:
            smaller = numpy_helper.to_array(tensor) * np.float32(size)
            tensor.CopyFrom(numpy_helper.from_array(smaller, tensor.name))
    return model


@pytest.fixture(scope="module")
def quiet_table(
    quiet: onnx.ModelProto, calibrated: Callable[[onnx.ModelProto], CalibrationTable]
) -> CalibrationTable:
    return calibrated(quiet)


@pytest.mark.parametrize("options", [{}, {"full_integer": True}], ids=str)
@pytest.mark.parametrize("target", PROFILES)
def test_details_lie_on_the_grid_of_the_picture(
    target: str,
    options: Mapping[str, bool],
    quiet: onnx.ModelProto,
    quiet_table: CalibrationTable,
) -> None:
    profile = PROFILES[target]
    plan = make_plan(quiet, quiet_table, profile, QuantOptions(**options))
    details = [edge for edge in plan.edges.values() if edge.tensor in {"c2", "details"}]
    beside = [edge for edge in plan.edges.values() if edge.tensor in {"base", "output"}]
    exact = all(edge.scale == PICTURE_STEP for edge in beside)
    for edge in details:
        narrow = INTEGER_TYPES[edge.dtype].span == 255
        assert edge.rule.startswith(RULE) == (narrow and exact)
        assert (edge.scale == PICTURE_STEP) == (narrow and exact)
    if options and not profile.symmetric and profile.convolution == "int8":
        assert details
        assert exact
    moving = {name for names in free_scales(prepare(quiet, plan)) for name in names}
    assert not moving & {name for name, edge in plan.edges.items() if edge.rule.startswith(RULE)}


@pytest.mark.parametrize("size", [4.0, 10.0])
def test_details_beyond_it_have_a_grid_of_their_own(
    size: float,
    compact: onnx.ModelProto,
    calibrated: Callable[[onnx.ModelProto], CalibrationTable],
) -> None:
    model = with_details(compact, size)
    plan = make_plan(model, calibrated(model), PROFILES["qnn"], QuantOptions())
    assert plan.edges["c2"].scale > 2.0 * PICTURE_STEP
    assert plan.edges["c2"].rule.startswith("least squares")


def test_a_percentile_that_is_asked_for_stands(
    quiet: onnx.ModelProto, quiet_table: CalibrationTable
) -> None:
    plan = make_plan(quiet, quiet_table, PROFILES["qnn"], QuantOptions(percentile=99.9))
    assert plan.edges["c2"].rule.startswith("percentile")
