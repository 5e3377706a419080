"""How closely two graphs agree: figures worked out by hand, and what is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import GraphError
from quant.passes.equivalence import outputs_of, require_equivalent

ZEROS = np.zeros((1, 1, 2, 2), np.float32)


def compared(found, expected, min_psnr_db: float = 0.0):
    return require_equivalent(found, expected, min_psnr_db=min_psnr_db, parties="ours and theirs")


@pytest.mark.parametrize(
    ("error", "psnr_db"), [(1.0, 0.0), (0.1, 20.0), (1e-3, 60.0), (-1e-3, 60.0), (0.0, math.inf)]
)
def test_an_error_everywhere_is_its_psnr(error, psnr_db) -> None:
    found = compared([{"output": ZEROS + np.float32(error)}], [{"output": ZEROS}])
    assert found.psnr_db == pytest.approx(psnr_db, abs=1e-4)
    assert found.max_abs_error == pytest.approx(abs(error))
    assert found.probes == 1


def test_one_wrong_value_of_four_is_a_quarter_of_its_square() -> None:
    wrong = ZEROS.copy()
    wrong[0, 0, 1, 1] = 0.2
    found = compared([{"output": wrong}], [{"output": ZEROS}])
    assert found.psnr_db == pytest.approx(-10 * math.log10(0.04 / 4))
    assert found.max_abs_error == pytest.approx(0.2)


def test_the_worst_output_of_all_probes_counts() -> None:
    near, far = ZEROS + np.float32(1e-3), ZEROS + np.float32(1e-1)
    good, bad = {"a": near, "b": ZEROS}, {"a": ZEROS, "b": far}
    found = compared([good, bad, good], [{"a": ZEROS, "b": ZEROS}] * 3)
    assert found.psnr_db == pytest.approx(20.0, abs=1e-4)
    assert found.max_abs_error == pytest.approx(0.1)
    assert found.probes == 3


@pytest.mark.parametrize(
    ("values", "peak"), [(0.0, 1.0), (1.0, 1.0), (0.5, 1.0), (-40.0, 40.0), ([255.0, 0.0], 180.312)]
)
def test_values_beyond_a_picture_are_held_to_their_size(values, peak) -> None:
    expected = (ZEROS + np.array(values, np.float32)).astype(np.float32)
    found = compared([{"output": expected + np.float32(0.125)}], [{"output": expected}])
    assert found.psnr_db == pytest.approx(20 * math.log10(peak / 0.125), abs=1e-4)
    assert found.max_abs_error == 0.125


def test_an_output_is_held_to_its_own_size() -> None:
    expected = {"large": ZEROS + np.float32(100.0), "small": ZEROS}
    found = {name: value + np.float32(0.125) for name, value in expected.items()}
    assert compared([found], [expected]).psnr_db == pytest.approx(-20 * math.log10(0.125))


@given(st.floats(1e-6, 1.0), st.floats(0.0, 120.0))
def test_the_limit_is_a_limit(error, min_psnr_db) -> None:
    arrays = [{"output": ZEROS + np.float32(error)}], [{"output": ZEROS}]
    psnr_db = -20 * math.log10(float(np.float32(error)))
    if psnr_db >= min_psnr_db:
        assert compared(*arrays, min_psnr_db).psnr_db == pytest.approx(psnr_db, abs=1e-6)
    else:
        with pytest.raises(GraphError, match="dB between ours and theirs, largest error"):
            compared(*arrays, min_psnr_db)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("swapped", [False, True], ids=["found", "expected"])
def test_what_is_no_number_agrees_with_nothing(broken, swapped) -> None:
    spoiled = ZEROS.copy()
    spoiled[0, 0, 0, 0] = broken
    pair = [[{"output": spoiled}], [{"output": ZEROS}]]
    with pytest.raises(GraphError, match=r"between ours and theirs.*expected at least 0 dB"):
        compared(*(reversed(pair) if swapped else pair))


def test_comparing_nothing_is_refused() -> None:
    with pytest.raises(GraphError, match="compared on probes: found none, expected at least 1"):
        compared([], [])


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        compared([{"output": ZEROS}], [{"output": ZEROS}] * 2)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1, 2), (2, 1, 2, 2)])
def test_outputs_of_other_shapes_are_refused(shape) -> None:
    """Even where numpy would stretch one to the other."""
    message = re.escape(f"found {list(shape)} for output 'output' of ours and theirs")
    with pytest.raises(GraphError, match=message):
        compared([{"output": np.zeros(shape, np.float32)}], [{"output": ZEROS}])


def test_outputs_are_those_of_the_graph_as_written(parsed) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2] x) => (float[1,2] double, float[1,2] square)
        { double = Add(x, x) square = Mul(x, x) }"""
    )
    found = outputs_of(model, [np.float32([[1, 2]]), np.float32([[3, 4]])])
    assert [{name: array.tolist() for name, array in entry.items()} for entry in found] == [
        {"double": [[2, 4]], "square": [[1, 4]]},
        {"double": [[6, 8]], "square": [[9, 16]]},
    ]


def test_a_graph_of_two_inputs_is_refused(parsed) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2] x, float[1,2] y) => (float[1,2] z) { z = Add(x, y) }"""
    )
    with pytest.raises(GraphError, match=r"found inputs \['x', 'y'\], expected one"):
        outputs_of(model, [np.float32([[1, 2]])])
