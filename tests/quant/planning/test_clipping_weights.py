"""Where clipping counts for more than rounding: where there is a trunk, added up in float."""

from collections.abc import Callable

import onnx
import pytest

from calib.table import CalibrationTable
from quant.numerics import clipping_weights
from quant.plan import QuantOptions, QuantPlan
from quant.targets import PROFILES
from tests.quant.by_model import make_plan

OPTIONS = ({}, {"trunk": "int8"}, {"full_integer": True})
TRUNK_IN_FLOAT = [
    (target, options)
    for target, profile in PROFILES.items()
    for options in OPTIONS
    if profile.trunk == "float" and not options
]
ROUNDED = [
    (target, options)
    for target, profile in PROFILES.items()
    for options in OPTIONS
    if (target, options) not in TRUNK_IN_FLOAT
    and options.get("trunk", "int8") in profile.precisions
]


Weighed = Callable[..., QuantPlan]


@pytest.fixture
def weighed(
    residual: onnx.ModelProto, residual_table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> Weighed:
    """Target, options and weights by name to the plan that is made with them."""

    def weighed(target: str, options: dict, **weights: float) -> QuantPlan:
        for name, weight in weights.items():
            monkeypatch.setattr(clipping_weights, name, weight)
        asked = QuantOptions(**options)
        return make_plan(residual, residual_table, PROFILES[target], asked)

    return weighed


@pytest.mark.parametrize(("target", "options"), TRUNK_IN_FLOAT)
def test_grids_of_a_dense_block_reach_further_beside_a_float_trunk(
    target: str, options: dict, weighed: Weighed
) -> None:
    careful, careless = (
        weighed(target, options, BESIDE_FLOAT_TRUNK=weight).edges for weight in (4.0, 1e-3)
    )
    assert careful["x1"].percentile > careless["x1"].percentile
    assert careful["joined"].scale == careful["x1"].scale == careful["feat"].scale
    assert careful.get("pre1") is None or careful["pre1"].percentile > careless["pre1"].percentile


@pytest.mark.parametrize("target", PROFILES)
def test_a_network_without_a_trunk_takes_no_heed_of_it(
    target: str, compact: onnx.ModelProto, compact_table: CalibrationTable, monkeypatch
) -> None:
    plans = []
    for weight in (4.0, 1e-3):
        monkeypatch.setattr(clipping_weights, "BESIDE_FLOAT_TRUNK", weight)
        plans.append(make_plan(compact, compact_table, PROFILES[target], QuantOptions()))
    assert plans[0] == plans[1]


@pytest.mark.parametrize(("target", "options"), ROUNDED)
def test_a_rounded_trunk_takes_no_heed_of_it(target: str, options: dict, weighed: Weighed) -> None:
    careful, careless = (
        weighed(target, options, BESIDE_FLOAT_TRUNK=weight) for weight in (4.0, 1e-3)
    )
    assert careful == careless


@pytest.mark.parametrize(("target", "options"), ROUNDED)
def test_beside_a_rounded_trunk_it_counts_where_a_pair_stands_before_each_activation(
    target: str, options: dict, weighed: Weighed
) -> None:
    careful, careless = (
        weighed(target, options, BESIDE_ROUNDED_TRUNK=weight) for weight in (4.0, 1e-3)
    )
    if PROFILES[target].pair_before_activation != "needed":
        assert careful == careless
    else:
        for name in ("x1", "pre1"):
            assert careful.edges[name].percentile > careless.edges[name].percentile


@pytest.mark.parametrize(("target", "options"), [*TRUNK_IN_FLOAT, *ROUNDED])
def test_a_rounded_trunk_counts_for_more_than_the_growth_that_it_is_joined_with(
    target: str, options: dict, weighed: Weighed
) -> None:
    little, careless, careful = (
        weighed(target, options, ROUNDED_TRUNK=weight, ROUNDED_TRUNK_CLIPPING=clipping)
        for weight, clipping in ((1e-3, 4.0), (1e3, 1e-3), (1e3, 4.0))
    )
    if (target, options) in TRUNK_IN_FLOAT or PROFILES[target].pair_before_activation != "needed":
        assert little == careless == careful
    else:
        trunk = careful.edges["feat"]
        assert careless.edges["feat"].percentile < trunk.percentile
        assert trunk.scale != little.edges["feat"].scale
        assert careful.edges["x1"].scale == trunk.scale
        assert "trunk" in trunk.rule
