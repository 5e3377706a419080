import numpy as np
import pytest
from numpy.typing import NDArray

from calib.errors import VerificationError
from deploy.artifacts.parity_record import Threshold
from deploy.artifacts.precision import ModelPrecision
from deploy.metrics.parity import LEVELS, ImageParity, ParityResult, compare, lowest_level
from deploy.metrics.thresholds import THRESHOLDS, threshold_of


def picture(seed: int, size: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, 3, size, size), dtype=np.float32)


def test_parity_is_ten_log_ten_of_one_over_the_mean_square() -> None:
    reference = np.full((1, 3, 16, 16), 0.5, np.float32)
    found = compare("flat", reference, reference + np.float32(0.01), "picture")
    assert found.psnr_db == pytest.approx(40.0, abs=1e-3)
    assert found.max_abs_error == pytest.approx(0.01, abs=1e-6)


def test_what_a_viewer_cannot_see_is_no_error() -> None:
    reference = np.full((1, 3, 16, 16), 1.0, np.float32)
    found = compare("white", reference, reference + np.float32(0.5), "picture")
    assert found.max_abs_error == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "infinity"])
def test_an_output_that_is_not_finite_gets_the_worst_figures_there_are(bad: float) -> None:
    candidate = picture(1)
    candidate[0, 0, 0, 0] = bad
    assert compare("broken", picture(1), candidate, "picture") == ImageParity(
        "broken", 0.0, 0.0, 1.0
    )
    with pytest.raises(VerificationError, match="reference's output holds NaN or infinity"):
        compare("broken", candidate, picture(1), "picture")


def test_another_shape_is_refused() -> None:
    with pytest.raises(VerificationError, match="shape"):
        compare("small", picture(1, 24), picture(1, 12), "picture")


def test_comparing_nothing_is_no_verdict() -> None:
    with pytest.raises(VerificationError, match="no picture"):
        ParityResult("a.onnx", "b.onnx", Threshold(30.0, 0.5), ())


@pytest.mark.parametrize(
    ("psnr_db", "ssim", "named"),
    [
        (29.9, 0.9, "29.90 dB against b.onnx, expected at least 30 dB"),
        (31.0, 0.4, "SSIM 0.4000 against b.onnx, expected at least 0.5"),
        (float("nan"), 0.9, "no dB against b.onnx, expected at least 30 dB"),
    ],
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
    assert line == f"bad: {named}"


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


def test_parity_of_maps_is_their_signal_to_noise_ratio() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(2.0, 3.0, (1, 1, 16, 16)).astype(np.float32)
    noise = rng.normal(0.0, 0.1, reference.shape).astype(np.float32)
    found = compare("map", reference, reference + noise, "map")
    error = (reference + noise).astype(np.float64) - reference
    sqnr_db = 10 * np.log10(np.square(reference, dtype=np.float64).sum() / np.square(error).sum())
    assert found.psnr_db == pytest.approx(sqnr_db, abs=1e-3)
    assert found.max_abs_error == pytest.approx(np.abs(error).max(), abs=1e-6)
    assert found.ssim is None
    broken = compare("map", reference, reference * np.float32(np.nan), "map")
    for image, passed in ((found, True), (broken, False)):
        result = ParityResult("a", "b", threshold_of("int8", "map"), (image,))
        assert result.passed == passed
        assert result.summary().ssim_min is None


@pytest.mark.parametrize("precision", THRESHOLDS)
def test_pictures_need_a_similarity_and_maps_have_none(precision: ModelPrecision) -> None:
    assert threshold_of(precision, "picture").ssim is not None
    assert threshold_of(precision, "map").ssim is None
    unlike = ImageParity("a", 200.0, None, 0.0)
    assert not ParityResult("a", "b", threshold_of(precision, "picture"), (unlike,)).passed
