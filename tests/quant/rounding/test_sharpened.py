"""Chains round their weights on sharpened copies of pictures too."""

import numpy as np
import onnx
import pytest

from calib.table import CalibrationTable
from quant.rounding import round_weights as rounding
from quant.rounding.sharpened import sharpened
from quant.targets import PROFILES
from tests.quant.conftest import pictures
from tests.quant.refinement.planned import planned


def test_detail_is_twice_as_strong() -> None:
    picture = np.full((1, 3, 9, 9), 0.4, np.float32)
    picture[0, 1, 4, 4] += 0.09
    made = sharpened(picture)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0, 1, 4, 4], 0.4 + 2 * 0.09 - 0.01, rtol=0, atol=1e-6)
    np.testing.assert_allclose(made[0, 1, 3, 5], 0.4 - 0.01, rtol=0, atol=1e-6)
    np.testing.assert_allclose(made[0, 0], 0.4, rtol=0, atol=1e-6)


def test_what_is_flat_stays_and_no_value_leaves_the_picture() -> None:
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (1, 1, 16, 1))
    np.testing.assert_allclose(sharpened(ramp)[..., 1:-1], ramp[..., 1:-1], rtol=0, atol=1e-6)
    noise = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    made = sharpened(noise)
    assert (made.min(), made.max()) == (0.0, 1.0)
    assert np.std(made) > np.std(noise)


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize(("name", "copied"), [("compact", True), ("residual", False)])
def test_chains_alone_are_rounded_on_sharpened_copies(
    name: str,
    copied: bool,
    target: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model: onnx.ModelProto = request.getfixturevalue(name)
    table: CalibrationTable = request.getfixturevalue(f"{name}_table")
    prepared, inputs = planned(model, table, target), pictures(model)
    made = rounding.round_weights(prepared, table, inputs, threads=1)
    monkeypatch.setattr(rounding, "sharpened", lambda picture: picture)
    plain = rounding.round_weights(prepared, table, inputs, threads=1)
    same = [np.array_equal(codes, plain.codes[name]) for name, codes in made.codes.items()]
    assert all(same) is not copied
