"""Which files of a DIV2K layout, or of any folder, are found; and that the splits never meet."""

from pathlib import Path

import pytest

from calib.div2k import (
    calibration_images,
    evaluation_pairs,
    image_files,
    is_div2k,
    unpaired_photographs,
)
from calib.errors import ImageSetError


def touch(folder: Path, *names: str) -> Path:
    """Make empty files: finding images looks at names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(folder: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


VALID_X4 = "DIV2K_valid_LR_bicubic/X4/"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    lr = [f"{VALID_X4}{n}x4.png" for n in ("0801", "0802", "0803")]
    return touch(tmp_path, *lr, "DIV2K_valid_HR/0802.png", "DIV2K_valid_HR/0900.png")


def test_pairs_and_calibration_images_share_nothing(layout: Path) -> None:
    assert is_div2k(layout)
    (pair,) = evaluation_pairs(layout)
    assert (pair.name, pair.lr.name, pair.hr.name) == ("0802", "0802x4.png", "0802.png")
    assert pair.lr.parent.name == "X4"
    assert names(layout, calibration_images(layout)) == [
        f"{VALID_X4}0801x4.png",
        f"{VALID_X4}0803x4.png",
    ]


def test_train_images_are_for_calibration_even_with_hr(layout: Path) -> None:
    touch(layout, "DIV2K_train_LR_bicubic/X4/0001x4.png", "DIV2K_train_HR/0001.png")
    found = names(layout, calibration_images(layout))
    assert "DIV2K_train_LR_bicubic/X4/0001x4.png" in found
    assert len(found) == 3
    assert [pair.name for pair in evaluation_pairs(layout)] == ["0802"]


def test_photographs_to_degrade_are_in_no_pair(layout: Path) -> None:
    assert names(layout, unpaired_photographs(layout)) == ["DIV2K_valid_HR/0900.png"]
    touch(layout, "DIV2K_train_HR/0001.png", "DIV2K_valid_LR_bicubic/X2/0900x2.png")
    assert names(layout, unpaired_photographs(layout)) == ["DIV2K_train_HR/0001.png"]
    (layout / "DIV2K_train_HR" / "0001.png").rename(layout / "0001.txt")
    (layout / "DIV2K_train_HR").rmdir()
    with pytest.raises(ImageSetError, match="2 HR images, all of them in evaluation pairs"):
        unpaired_photographs(layout)


def test_degraded_pairs_stand_in_where_there_are_no_bicubic_ones(layout: Path) -> None:
    degraded = "DIV2K_valid_LR_degraded/X4/"
    touch(layout, f"{degraded}0900x4.png", f"{degraded}0802x4.png")
    assert [pair.lr.parent.parent.name for pair in evaluation_pairs(layout)] == [
        "DIV2K_valid_LR_bicubic"
    ]
    (layout / "DIV2K_valid_LR_bicubic").rename(layout / "elsewhere")
    assert is_div2k(layout)
    pairs = evaluation_pairs(layout)
    assert names(layout, [pair.lr for pair in pairs]) == [
        f"{degraded}0802x4.png",
        f"{degraded}0900x4.png",
    ]
    with pytest.raises(ImageSetError, match="2 evaluation pairs and no other LR image"):
        calibration_images(layout)


def test_one_scale_is_calibrated_on_and_pairs_are_made_by_scale(layout: Path) -> None:
    valid_x2 = "DIV2K_valid_LR_bicubic/X2/"
    touch(layout, f"{valid_x2}0801x2.png", f"{valid_x2}0900x2.png")
    assert {path.parent.name for path in calibration_images(layout)} == {"X4"}
    assert [pair.name for pair in evaluation_pairs(layout, scale=2)] == ["0900"]
    for path in layout.glob(f"{VALID_X4}*"):
        path.unlink()
    (layout / VALID_X4).rmdir()
    assert names(layout, calibration_images(layout)) == [f"{valid_x2}0801x2.png"]


def test_a_layout_in_which_everything_is_scored_is_refused(layout: Path) -> None:
    touch(layout, "DIV2K_valid_HR/0801.png", "DIV2K_valid_HR/0803.png")
    with pytest.raises(ImageSetError, match="3 evaluation pairs and no other LR image"):
        calibration_images(layout)


def test_no_pair_is_an_error_that_shows_the_layout(tmp_path: Path) -> None:
    touch(tmp_path, f"{VALID_X4}0801x4.png", "DIV2K_valid_HR/0900.png")
    with pytest.raises(ImageSetError, match=r"1 images in X4 .* and 1 in .*0801x4\.png"):
        evaluation_pairs(tmp_path)
    with pytest.raises(ImageSetError, match="0 images in X3"):
        evaluation_pairs(tmp_path, scale=3)


def test_any_folder_is_searched_in_order_without_hidden_names(tmp_path: Path) -> None:
    wanted = ["a.JPG", "b/c.tif", "b/d.webp", "z.bmp"]
    touch(tmp_path, *reversed(wanted), ".hidden.png", ".git/e.png", "notes.txt")
    assert not is_div2k(tmp_path)
    assert names(tmp_path, image_files(tmp_path)) == wanted


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ((), "no images: found no files"),
        (("a.txt", "b.gif", "c"), r"found 3 files \(\.gif, \.txt, no suffix\); expected"),
        ((".only.png",), "found no files"),
    ],
    ids=["empty", "other kinds", "hidden"],
)
def test_a_folder_without_images_says_what_it_holds(
    tmp_path: Path, present: tuple[str, ...], message: str
) -> None:
    touch(tmp_path, *present)
    with pytest.raises(ImageSetError, match=message):
        image_files(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(ImageSetError, match=r"a\.png: expected a folder of images, but it is a f"):
        image_files(tmp_path / "a.png")
    with pytest.raises(ImageSetError, match="but it is not there"):
        image_files(tmp_path / "absent")
    assert not is_div2k(tmp_path / "absent")


@pytest.mark.div2k
def test_the_shared_div2k_folder(div2k: Path) -> None:
    pairs, rest = evaluation_pairs(div2k), calibration_images(div2k)
    lr = image_files(div2k / VALID_X4)
    assert len(pairs) >= 1
    assert sorted([*(pair.lr for pair in pairs), *rest]) == lr
