"""The embedded sample: photographs of the installed scikit-image, disjoint, detailed, stable."""

import pickle

import numpy as np
import pytest

from calib.dataset import PatchSet
from calib.errors import ImageSetError, UsageError
from calib.sample import SAMPLE_PHOTOS, PackagedPhoto, sample_patches
from calib.views import CropView, WholeView


def photographs(patches: PatchSet) -> set[str]:
    return {patch.photo.name for patch in patches.patches}


@pytest.mark.parametrize(("split", "count"), [("calibration", 32), ("verification", 8)])
def test_every_patch_is_there_once_and_has_detail(split: str, count: int) -> None:
    patches = sample_patches(split).patches
    assert len(patches) == count
    assert len({patch.name for patch in patches}) == count
    assert len({patch.sha256 for patch in patches}) == count
    for patch in patches:
        pixels = patch.load().astype(np.float64)
        assert pixels.shape == (128, 128, 3)
        steps = np.abs(np.diff(pixels, axis=1)).mean()
        assert pixels.std() > 15, patch.name
        assert steps > 3, patch.name


def test_no_photograph_is_in_both_splits() -> None:
    calibration = photographs(sample_patches("calibration"))
    verification = photographs(sample_patches("verification"))
    assert calibration.isdisjoint(verification)
    files = [photo.file for photo in SAMPLE_PHOTOS]
    assert len(set(files)) == len(files)
    assert calibration | verification == set(files)


def test_crops_of_a_photograph_do_not_overlap_and_lie_inside() -> None:
    for entry in SAMPLE_PHOTOS:
        height, width, _ = PackagedPhoto(entry.file).read().shape
        crops = [view for view in entry.views if isinstance(view, CropView)]
        for index, one in enumerate(crops):
            assert one.top + 128 <= height // one.reduction, entry.file
            assert one.left + 128 <= width // one.reduction, entry.file
            for other in crops[:index]:
                apart = max(abs(one.top - other.top), abs(one.left - other.left)) >= 128
                assert apart or one.reduction != other.reduction, (entry.file, one, other)


def test_most_patches_have_colour() -> None:
    gray = sum(
        bool((pixels[..., 0] == pixels[..., 1]).all())
        for pixels in (patch.load() for patch in sample_patches("calibration").patches)
    )
    assert gray <= 8


def test_both_kinds_of_view_are_in_the_sample() -> None:
    views = [view for photo in SAMPLE_PHOTOS for view in photo.views]
    assert sum(isinstance(view, WholeView) for view in views) >= 4
    assert {view.reduction for view in views if isinstance(view, CropView)} == {1, 2, 3}


def test_every_photograph_names_its_licence_and_origin() -> None:
    licences = {photo.licence for photo in SAMPLE_PHOTOS}
    assert licences == {"public domain", "CC0 1.0", "no known copyright restrictions"}
    assert all(photo.credit and photo.subject for photo in SAMPLE_PHOTOS)


def test_a_small_count_is_varied_and_the_beginning_of_the_whole() -> None:
    few, every = sample_patches("calibration", 8), sample_patches("calibration")
    assert few.patches == every.patches[:8]
    assert len(photographs(few)) == 8
    assert sample_patches("calibration", 1000).patches == every.patches
    assert sample_patches("calibration", 1000).record().requested == 1000


def test_the_list_is_the_same_everywhere() -> None:
    # PNG decodes to the same bytes everywhere; JPEG may differ with the decoder.
    by_name = {patch.name: patch.sha256 for patch in sample_patches("verification").patches}
    assert by_name["chelsea.png@0,128"].startswith("7d652e78c49f3047")
    assert by_name["coins.png@128,128"].startswith("f8bf5b715728b787")


def test_patches_can_be_made_in_another_process() -> None:
    patch = sample_patches("verification", 1).patches[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(patch)).load(), patch.load())


def test_a_photograph_that_is_not_shipped_is_named() -> None:
    with pytest.raises(ImageSetError, match=r"does not ship data/absent\.png.*install"):
        PackagedPhoto("absent.png").read()


@pytest.mark.parametrize(("split", "count"), [("training", None), ("calibration", 0)])
def test_bad_options_are_refused(split: str, count: int | None) -> None:
    with pytest.raises(UsageError, match="expected"):
        sample_patches(split, count)
