"""Patch lists: chosen by seed, made again from their description, and changed files noticed."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calib.choose_patches import folder_patches
from calib.dataset import PatchSet
from calib.digest import sha256_bytes
from calib.errors import ImageError, UsageError
from calib.images import read_image, resize_area, write_image
from calib.records import encode
from calib.tile import USUAL_PX
from calib.views import CropView, WholeView


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five different noise images a..e of 140x150 px, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d", "sub/e"):
        picture = rng.integers(0, 256, (140, 150, 3), dtype=np.uint8)
        write_image(folder / f"{name}.png", picture)
    return folder


def choose(folder: Path, **options: object) -> PatchSet:
    return folder_patches(folder, **{"mode": "whole", "count": None, "seed": 0, **options})


def listed(patches: PatchSet) -> list[tuple[str, str]]:
    return [(patch.name, patch.sha256) for patch in patches.patches]


def test_whole_mode_reduces_each_image_by_area(photos: Path) -> None:
    chosen = choose(photos)
    assert sorted(patch.name for patch in chosen.patches) == [
        "a.png", "b.png", "c.png", "d.png", "sub/e.png",
    ]  # fmt: skip
    for patch in chosen.patches:
        expected = resize_area(read_image(photos / patch.name), USUAL_PX, USUAL_PX)
        np.testing.assert_array_equal(patch.load(), expected)
        assert patch.sha256 == sha256_bytes(expected.tobytes())


def test_crop_mode_cuts_pixels_as_they_are(photos: Path) -> None:
    chosen = choose(photos, mode="crop", count=12)
    assert len(set(listed(chosen))) == len(chosen) == 12
    for patch in chosen.patches:
        name, corner = patch.name.split("@")
        top, left = map(int, corner.split(","))
        picture = read_image(photos / name)
        expected = picture[top : top + USUAL_PX, left : left + USUAL_PX]
        np.testing.assert_array_equal(patch.load(), expected)


def test_crops_are_dealt_evenly(photos: Path) -> None:
    sources = [p.photo.name for p in choose(photos, mode="crop", count=12).patches]
    assert sorted(sources.count(name) for name in set(sources)) == [2, 2, 2, 3, 3]
    assert len(set(sources[:5])) == 5
    assert len(choose(photos, mode="crop")) == 5


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_larger_count_begins_with_the_smaller_one(photos: Path, mode: str, count: int) -> None:
    small, large = (choose(photos, mode=mode, count=n, seed=9) for n in (count, 5))
    assert listed(large)[:count] == listed(small)
    assert small.digest != large.digest


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
def test_the_seed_decides(photos: Path, mode: str) -> None:
    one, same, other = (choose(photos, mode=mode, count=3, seed=s) for s in (4, 4, 5))
    assert one == same
    assert one.digest == same.digest
    assert listed(one) != listed(other)


def test_more_than_there_are_gives_all_and_says_so(photos: Path) -> None:
    record = choose(photos, count=50).record()
    assert (record.requested, record.count, len(record.patches)) == (50, 5, 5)


def test_crops_never_repeat(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png", np.full((128, 130, 3), 7, np.uint8))
    names = [patch.name for patch in choose(tmp_path, mode="crop", count=50).patches]
    assert sorted(names) == ["one.png@0,0", "one.png@0,1", "one.png@0,2"]


@given(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=160))
def test_small_pictures_are_continued_by_reflection(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    patch = CropView(0, 0).of(picture)
    assert patch.shape == (USUAL_PX, USUAL_PX, 3)
    height, width = min(shape[0], USUAL_PX), min(shape[1], USUAL_PX)
    np.testing.assert_array_equal(patch[:height, :width], picture[:height, :width])
    if 1 < shape[0] < USUAL_PX:
        np.testing.assert_array_equal(patch[height], patch[height - 2])
    if 1 < shape[1] < USUAL_PX:
        np.testing.assert_array_equal(patch[:, width], patch[:, width - 2])


@given(st.integers(0, 40), st.integers(0, 40))
def test_reduced_crops_are_cut_after_the_reduction(top: int, left: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (340, 341, 3), dtype=np.uint8)
    reduced = resize_area(picture, 170, 170)
    patch = CropView(top, left, reduction=2).of(picture)
    np.testing.assert_array_equal(patch, reduced[top : top + 128, left : left + 128])


def test_views_are_named_apart() -> None:
    suffixes = [v.suffix for v in (WholeView(), CropView(1, 2), CropView(1, 2, 3), CropView(12, 3))]
    assert suffixes == ["", "@1,2", "@1,2/3", "@12,3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "0 patches asked for"),
        ({"seed": -1}, "seed -1; expected 0 or more"),
        ({"mode": "tile"}, "patch mode 'tile'"),
    ],
    ids=["count", "seed", "mode"],
)
def test_bad_options_are_refused(photos: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(photos, **options)


def test_a_file_that_does_not_decode_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.png"):
        choose(tmp_path)


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
def test_a_file_that_changed_is_noticed(tmp_path: Path, mode: str) -> None:
    picture = np.full((140, 140, 3), 90, np.uint8)
    write_image(tmp_path / "a.png", picture)
    (patch,) = choose(tmp_path, mode=mode).patches
    patch.load()
    picture[60:80, 60:80] += 1
    write_image(tmp_path / "a.png", picture)
    with pytest.raises(ImageError, match=r"^a\.png.*not the patch that was listed"):
        patch.load()
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match=r"a\.png: cannot be read"):
        patch.load()


def test_references_travel_without_pixels(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    chosen = choose(Path(photos.name), mode="crop", count=2)
    monkeypatch.chdir(photos)
    wire = pickle.dumps(chosen)
    assert len(wire) < 2_000
    there = pickle.loads(wire)
    assert there == chosen
    np.testing.assert_array_equal(there.patches[0].load(), chosen.patches[0].load())


def test_the_record_is_plain_json_without_paths(photos: Path) -> None:
    chosen = choose(photos, mode="crop", count=3, seed=2)
    record = json.loads(encode(chosen.record()))
    assert str(photos.parent) not in json.dumps(record)
    assert record["digest"] == chosen.digest
    assert {key: record[key] for key in ("origin", "mode", "seed", "requested", "count")} == {
        "origin": "folder", "mode": "crop", "seed": 2, "requested": 3, "count": 3,
    }  # fmt: skip


def test_the_record_does_not_depend_on_where_the_folder_is(photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    (copy / "sub").mkdir(parents=True)
    for path in photos.rglob("*.png"):
        (copy / path.relative_to(photos)).write_bytes(path.read_bytes())
    assert len(list(copy.rglob("*.png"))) > 1
    assert choose(copy).record() == choose(photos).record()


def test_mode_enters_the_digest(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((128, 128, 3), np.uint8))
    chosen = choose(tmp_path)
    relabelled = PatchSet("folder", "crop", 0, None, chosen.patches)
    assert relabelled.digest != chosen.digest


def test_a_div2k_layout_gives_its_unpaired_lr_images(tmp_path: Path) -> None:
    lr, hr = tmp_path / "DIV2K_valid_LR_bicubic" / "X4", tmp_path / "DIV2K_valid_HR"
    lr.mkdir(parents=True)
    hr.mkdir()
    for number in range(801, 805):
        write_image(lr / f"{number:04}x4.png", np.full((130, 130, 3), number % 256, np.uint8))
    write_image(hr / "0802.png", np.zeros((520, 520, 3), np.uint8))
    stems = {Path(patch.photo.name).stem for patch in choose(tmp_path).patches}
    assert stems == {"0801x4", "0803x4", "0804x4"}
