"""How far the channels of a trunk are equalized: less far if it is long, where it is rounded."""

from collections.abc import Callable

import onnx
import pytest

from calib.table import CalibrationTable
from quant import planner
from quant.passes.equalize import trunks
from quant.passes.exponents import TRUNK_EXPONENT, rounded_trunk_exponent
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import make_plan

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'


def residual_blocks(count: int) -> str:
    """Return a network that adds up ``count`` convolutions of its trunk."""
    blocks = "".join(
        f"[conv{i}] branch{i} = Conv<pads=[1,1,1,1]>(trunk{i}, w{i})\n"
        f"[add{i}] trunk{i + 1} = Add(trunk{i}, branch{i})\n"
        for i in range(count)
    )
    weights = ", ".join(f"float[2,2,3,3] w{i}" for i in range(count))
    return (
        f"{HEADER} blocks (float[1,3,6,6] input) => (float[1,3,6,6] output) "
        f"<float[2,3,3,3] first, {weights}, float[3,2,3,3] last> "
        "{ [first] trunk0 = Conv<pads=[1,1,1,1]>(input, first)\n"
        f"{blocks} [last] output = Conv<pads=[1,1,1,1]>(trunk{count}, last) }}"
    )


def test_a_long_rounded_trunk_is_equalized_less_far(
    compact: onnx.ModelProto, parsed: Callable[[str], onnx.ModelProto]
) -> None:
    few, many = (rounded_trunk_exponent(trunks(parsed(residual_blocks(n)))) for n in (20, 50))
    assert TRUNK_EXPONENT < many < few < 1.0
    assert rounded_trunk_exponent(trunks(compact)) == few  # which has no trunk


@pytest.mark.parametrize(
    "options",
    [{}, {"trunk": "int8"}, {"full_integer": True}, {"full_integer": True, "equalization": "none"}],
    ids=str,
)
@pytest.mark.parametrize("target", PROFILES)
def test_the_exponent_counts_where_the_trunk_is_in_8_bits(
    target: str,
    options: dict,
    residual: onnx.ModelProto,
    residual_table: CalibrationTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile = PROFILES[target]
    asked = QuantOptions(**options)
    if asked.trunk is not None and asked.trunk not in profile.precisions:
        pytest.skip(f"{target} has no such trunk")
    plans = []
    for exponent in (0.0, 1.0):
        monkeypatch.setattr(planner, "rounded_trunk_exponent", lambda _, e=exponent: e)
        plans.append(make_plan(residual, residual_table, profile, asked))
    rounded = plans[0].options.trunk == "int8" and plans[0].options.equalization == "all"
    by_steps = profile.symmetric or profile.pair_before_activation == "needed"
    assert (plans[0] != plans[1]) == (rounded and by_steps)


def test_beside_a_trunk_in_16_bits_channels_are_equalized_as_beside_one_in_float(
    residual: onnx.ModelProto, residual_table: CalibrationTable
) -> None:
    in_float, in_16_bits, in_8_bits = (
        make_plan(residual, residual_table, PROFILES["ort"], QuantOptions(trunk=trunk)).equalization
        for trunk in ("float", "int16", "int8")
    )
    assert in_16_bits["feat"] == in_float["feat"]
    assert in_16_bits["feat"] != in_8_bits["feat"]
