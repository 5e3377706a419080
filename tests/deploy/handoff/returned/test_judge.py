"""What a vendor sends back is judged, and its usual slips are named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from calib.images import resize_area, to_picture, write_image
from deploy.handoff.bundle_manifest import golden_path
from deploy.handoff.returned.judge import judge_returned
from deploy.handoff.returned.request import ReturnedRequest
from deploy.progress import Silent
from tests.deploy.handoff.returned.returns import Array, judge, save_all, shifted


def test_a_good_return_is_accepted(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    found = judge(folder, unpacked)
    assert found.passed
    assert found.problems == ()
    assert found.cause is None
    assert len(found.images) == 8
    for image in found.images:
        assert image.between_db > 80  # golden files are rounded
        assert image.psnr_db == pytest.approx(image.ours_db, abs=0.01)
        assert image.required_db == pytest.approx(max(27, image.ours_db - 3), abs=1e-3)


SPOILS = {
    "channels swapped": lambda array: array[:, ::-1],
    "layout": lambda array: np.ascontiguousarray(array.transpose(0, 2, 3, 1)).reshape(array.shape),
    "times 255": lambda array: array * 255,
    "over 255": lambda array: array / 255,
    "shift": shifted,
    "clipped": lambda array: np.clip(array, 0.25, 0.75),
    "offset": lambda array: array + 0.08,
}


NAMED = {
    "channels swapped": r"channels swapped",
    "layout": r"layout|interleaved",
    "times 255": r"255",
    "over 255": r"255",
    "shift": r"shift|moved",
    "clipped": r"clip|cut off",
    "offset": r"values need .* \(in 8 of 8\)$",  # of each by figures of its own
}


@pytest.mark.parametrize("spoil", list(SPOILS))
def test_a_spoiled_return_is_diagnosed_by_name(
    folder: Path, unpacked: Path, outputs, spoil: str
) -> None:
    save_all(folder, outputs, SPOILS[spoil])
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.cause is not None
    assert re.search(NAMED[spoil], found.cause), found.cause


def test_nan_is_named(folder: Path, unpacked: Path, outputs) -> None:
    def spoil(array: Array) -> Array:
        spoiled = array.copy()
        spoiled[0, 0, :4] = np.nan
        return spoiled

    save_all(folder, outputs, spoil)
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.cause is not None
    assert "NaN" in found.cause
    assert {image.psnr_db for image in found.images} == {0.0}
    json.dumps(found.record(), allow_nan=False)


def test_precisions_are_held_against_their_own_tolerance(
    folder: Path, unpacked: Path, outputs
) -> None:
    floats = {name: np.load(unpacked / golden_path("float", name)) for name in outputs}
    save_all(folder, floats, lambda array: array + np.float32(1.6e-3))
    verdicts = {
        precision: judge(folder, unpacked, precision=precision)
        for precision in ("fp32", "fp16", "int8")
    }
    assert {p: found.images[0].required_db for p, found in verdicts.items()} == {
        "fp32": 80.0,
        "fp16": 55.0,
        "int8": pytest.approx(verdicts["int8"].images[0].ours_db - 3, abs=1e-3),
    }
    assert {p: found.passed for p, found in verdicts.items()} == {
        "fp32": False,
        "fp16": True,
        "int8": False,  # 56 dB, and ours reaches more than 59 on this tiny network
    }


def test_tools_with_their_own_scales_are_held_against_a_floor(
    folder: Path, unpacked: Path, outputs
) -> None:
    rng = np.random.default_rng(0)
    save_all(folder, outputs, lambda a: a + rng.normal(0, 0.02, a.shape).astype(np.float32))
    found = judge(folder, unpacked, "rknn")
    assert {image.required_db for image in found.images} == {27.0}
    assert found.passed
    assert found.profile == "qnn"
    assert not judge(folder, unpacked, "tensorrt").passed


def test_the_target_and_the_profile_have_to_be_in_the_bundle(
    folder: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs)
    with pytest.raises(UsageError, match="say with --vendor whose results"):
        judge_returned(ReturnedRequest(folder, unpacked), Silent())
    with pytest.raises(UsageError, match="not for abacus"):
        judge(folder, unpacked, "abacus")
    with pytest.raises(UsageError, match="no int8 model 'abacus'"):
        judge(folder, unpacked, profile="abacus")
    assert judge(folder, unpacked, "qnn", profile="qnn-w8a16").profile == "qnn-w8a16"


def test_scores_against_photographs(folder: Path, unpacked: Path, outputs, tmp_path: Path) -> None:
    save_all(folder, outputs)
    photos = tmp_path / "hr"
    photos.mkdir()
    expected = to_picture(np.load(unpacked / golden_path("float", "04-chelsea")))
    write_image(photos / "chelsea.png", resize_area(expected, 512, 512))
    found = {image.name: image.photo for image in judge(folder, unpacked, hr=photos).images}
    assert [name for name, photo in found.items() if photo is not None] == ["04-chelsea"]
    score = found["04-chelsea"]
    assert score is not None
    assert score.float_model[0] > 60  # the photograph is its own picture, enlarged and reduced
    assert score.returned == pytest.approx(score.int8_model, abs=0.01)  # golden files are rounded
    assert score.returned[0] < score.float_model[0]
