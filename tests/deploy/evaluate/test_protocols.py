"""The vendor table's protocol, on networks whose score is known and on the real one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.colours import RGB
from calib.div2k import Pair, evaluation_pairs
from calib.errors import ImageSetError, VerificationError
from calib.images import read_image, to_input, write_image
from calib.sample import sample_patches
from deploy.evaluate.protocols import (
    ImageScore,
    Scores,
    evaluate,
    evaluation_input,
    reference_picture,
)
from deploy.metrics.decibels import CEILING_DB
from deploy.metrics.psnr_ssim import psnr_db, ssim
from deploy.network.export import export_float
from deploy.network.load import load_network
from deploy.runtime.runner import model_runner


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A pair whose HR picture is the LR picture with every pixel doubled."""
    lr = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    write_image(tmp_path / "lr.png", lr)
    write_image(tmp_path / "hr.png", lr.repeat(2, axis=0).repeat(2, axis=1))
    return Pair("0801", tmp_path / "lr.png", tmp_path / "hr.png")


def nearest(scale: int):
    return lambda tensor: tensor.repeat(scale, axis=2).repeat(scale, axis=3)


def test_a_perfect_network_scores_perfectly(pair: Pair) -> None:
    seen = []
    scores = evaluate(nearest(2), [pair], scale=2, advance=lambda: seen.append(1))
    assert scores.images == (ImageScore("0801", CEILING_DB, pytest.approx(1.0)),)
    assert seen == [1]


def test_input_and_reference_follow_the_protocol(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lr = rng.integers(0, 256, (170, 260, 3), dtype=np.uint8)
    hr = rng.integers(0, 256, (680, 1040, 3), dtype=np.uint8)
    write_image(tmp_path / "lr.png", lr)
    write_image(tmp_path / "hr.png", hr)
    pair = Pair("x", tmp_path / "lr.png", tmp_path / "hr.png")
    resized = cv2.resize(lr, (128, 128), interpolation=cv2.INTER_AREA)
    expected = resized.astype(np.float32).transpose(2, 0, 1)[np.newaxis] / 255
    np.testing.assert_array_equal(evaluation_input(pair), expected)
    expected_hr = cv2.resize(hr, (512, 512), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(reference_picture(pair, 4), expected_hr)


def test_scores_compare_the_rounded_picture_with_hr(pair: Pair) -> None:
    def darker(tensor: np.ndarray) -> np.ndarray:
        return nearest(2)(tensor) * np.float32(0.9)

    (score,) = evaluate(darker, [pair], scale=2).images
    hr = read_image(pair.hr)
    picture = np.rint(hr * 0.9).astype(np.uint8)
    assert score.psnr_db == pytest.approx(psnr_db(hr, picture), abs=0.01)
    assert score.ssim == pytest.approx(ssim(hr, picture), abs=1e-4)


def test_a_network_of_another_scale_is_refused(pair: Pair) -> None:
    with pytest.raises(VerificationError, match=r"\[512, 512, 3\].*\[256, 256, 3\]"):
        evaluate(nearest(4), [pair], scale=2)


def true_size_pair(tmp_path: Path, extra: tuple[int, int] = (0, 0)) -> Pair:
    """A pair of another size than a tile, its HR picture the LR picture with doubled pixels."""
    lr = np.random.default_rng(2).integers(0, 256, (30, 45, 3), dtype=np.uint8)
    hr = lr.repeat(2, axis=0).repeat(2, axis=1)
    write_image(tmp_path / "lr.png", lr)
    write_image(tmp_path / "hr.png", np.pad(hr, ((0, extra[0]), (0, extra[1]), (0, 0))))
    return Pair("0802", tmp_path / "lr.png", tmp_path / "hr.png")


@pytest.mark.parametrize("extra", [(0, 0), (1, 0), (1, 1)], ids=str)
def test_at_source_size_nothing_is_resized(tmp_path: Path, extra: tuple[int, int]) -> None:
    pair = true_size_pair(tmp_path, extra)
    seen = []
    scores = evaluate(
        nearest(2), [pair], scale=2, shape="source", on_picture=lambda *given: seen.append(given)
    )
    assert scores.images[0].psnr_db == CEILING_DB
    ((given, reference, picture),) = seen
    assert given is pair
    assert reference.shape == picture.shape == (60, 90, 3)
    np.testing.assert_array_equal(picture, reference)


@pytest.mark.parametrize("scale", [3, 4])
def test_an_hr_picture_of_another_scale_is_refused(tmp_path: Path, scale: int) -> None:
    with pytest.raises(ImageSetError, match=rf"hr\.png has 60x90.*at scale {scale}"):
        evaluate(nearest(scale), [true_size_pair(tmp_path)], scale=scale, shape="source")


def test_scoring_nothing_is_an_error() -> None:
    with pytest.raises(VerificationError, match="no image was scored"):
        evaluate(nearest(2), [])


def test_a_set_scores_the_mean_of_its_images() -> None:
    scores = Scores((ImageScore("a", 20.0, 0.5), ImageScore("b", 30.0, 0.75)))
    assert (scores.psnr_db, scores.ssim) == (25.0, 0.625)
    record = scores.record()
    assert json.loads(json.dumps(record)) == record
    assert (record["count"], record["images"][1]["name"]) == (2, "b")


@pytest.mark.slow
@pytest.mark.div2k
def test_anime_6b_scores_what_was_measured_outside(div2k: Path) -> None:
    """22.866 dB / 0.7119: found with cv2, onnxruntime and scikit-image alone."""
    pairs = evaluation_pairs(div2k)
    if len(pairs) != 18:
        pytest.skip(f"the figure is for 18 known pairs, this folder has {len(pairs)}")
    network = load_network("x4plus-anime-6b", None)
    probe = to_input(sample_patches("verification", 1).patches[0].load(), RGB)
    exported = export_float(network.architecture, network.checkpoint.tensors, [probe])
    scores = evaluate(model_runner(exported.model, optimized=True), pairs)
    assert scores.psnr_db == pytest.approx(22.866, abs=0.002)
    assert scores.ssim == pytest.approx(0.7119, abs=0.0005)
