import numpy as np
import pytest
from numpy.typing import NDArray

from calib.errors import VerificationError
from deploy.metrics.parity import (
    LEVELS,
    THRESHOLDS,
    ImageParity,
    ParityResult,
    Threshold,
    compare,
    lowest_level,
)


def picture(seed: int, size: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, 3, size, size), dtype=np.float32)


def test_parity_is_ten_log_ten_of_one_over_the_mean_square() -> None:
    reference = np.full((1, 3, 16, 16), 0.5, np.float32)
    found = compare("flat", reference, reference + np.float32(0.01))
    assert found.psnr_db == pytest.approx(40.0, abs=1e-3)
    assert found.max_abs_error == pytest.approx(0.01, abs=1e-6)


def test_what_a_viewer_cannot_see_is_no_error() -> None:
    reference = np.full((1, 3, 16, 16), 1.0, np.float32)
    found = compare("white", reference, reference + np.float32(0.5))
    assert found.max_abs_error == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "infinity"])
def test_an_output_that_is_not_finite_gets_the_worst_figures_there_are(bad: float) -> None:
    candidate = picture(1)
    candidate[0, 0, 0, 0] = bad
    assert compare("broken", picture(1), candidate) == ImageParity("broken", 0.0, 0.0, 1.0)
    with pytest.raises(VerificationError, match="reference's output holds NaN or infinity"):
        compare("broken", candidate, picture(1))


def test_another_shape_is_refused() -> None:
    with pytest.raises(VerificationError, match="shape"):
        compare("small", picture(1, 24), picture(1, 12))


def test_comparing_nothing_is_no_verdict() -> None:
    with pytest.raises(VerificationError, match="no picture"):
        ParityResult("a.onnx", "b.onnx", Threshold(30.0, 0.5), ())


@pytest.mark.parametrize(
    ("psnr_db", "ssim", "named"),
    [(29.9, 0.9, "psnr_db"), (31.0, 0.4, "ssim"), (float("nan"), 0.9, "psnr_db")],
    ids=["psnr", "ssim", "nan"],
)
def test_one_picture_below_the_threshold_fails_and_is_named(
    psnr_db: float, ssim: float, named: str
) -> None:
    good = ImageParity("good", 40.0, 0.99, 0.01)
    bad = ImageParity("bad", psnr_db, ssim, 0.2)
    result = ParityResult("a.onnx", "b.onnx", Threshold(30.0, 0.5), (good, bad))
    assert not result.passed
    (line,) = result.failures
    assert line.startswith("bad: ")
    assert named in line


@pytest.mark.parametrize(
    ("lowest_db", "level"),
    [(40.0, "cannot be told apart"), (39.9, "acceptable"), (27.0, "acceptable"),
     (26.9, "not acceptable")],
)  # fmt: skip
def test_the_level_is_that_of_the_worst_picture(lowest_db: float, level: str) -> None:
    images = (ImageParity("good", 60.0, 1.0, 0.0), ImageParity("worst", lowest_db, 1.0, 0.1))
    result = ParityResult("int8", "float", THRESHOLDS["int8"], images)
    assert result.level == level
    best = ParityResult("fp16", "float", THRESHOLDS["fp16"], images[:1])
    assert lowest_level([best.summary(), result.summary()]) == level


def test_no_model_reaches_no_level() -> None:
    assert lowest_level([]) == LEVELS[0]
