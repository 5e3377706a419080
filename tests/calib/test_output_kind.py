"""Pictures are compared as a viewer sees them, maps as they are, in units of their size."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_tensor_value_info

from calib.output_kind import OutputKind, output_kind, peak, seen, shown

VALUES = np.array([[-3.0, 0.25, 4.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("taken", "given", "kind"), [(3, 3, "picture"), (1, 1, "picture"), (3, 1, "map")]
)
def test_the_channels_of_the_ends_say_what_it_is(taken: int, given: int, kind: OutputKind) -> None:
    ends = (("x", taken), ("y", given))
    (x, y) = (make_tensor_value_info(name, TensorProto.FLOAT, [1, n, 4, 4]) for name, n in ends)
    assert (
        output_kind(make_model(make_graph([make_node("Identity", ["x"], ["y"])], "g", [x], [y])))
        == kind
    )


def test_of_a_picture_counts_what_can_be_shown_and_of_a_map_everything() -> None:
    np.testing.assert_array_equal(seen(VALUES, "picture"), [[0.0, 0.25, 1.0, 0.0]])
    np.testing.assert_array_equal(seen(VALUES, "map"), VALUES)


def test_errors_are_measured_by_one_or_by_the_size_of_the_map() -> None:
    assert peak(VALUES, "picture") == 1.0
    assert peak(VALUES, "map") == pytest.approx(np.sqrt((9 + 0.0625 + 16) / 4))
    assert 0.0 < peak(0 * VALUES, "map") < 1e-9


def test_a_map_of_logits_is_shown_as_probabilities() -> None:
    np.testing.assert_array_equal(shown(VALUES, "picture"), VALUES)
    np.testing.assert_allclose(shown(VALUES, "map"), 1 / (1 + np.exp(-VALUES)), rtol=1e-6)
