"""Pairs on disk: DIV2K's layout, the same bytes again, and a record that makes them again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.degradation.degrade import follow
from calib.degradation.pairs import PAIRS_NAME, PairsRecord, PairsRequest, write_pairs
from calib.degradation.parameters import Degradation
from calib.digest import sha256_bytes
from calib.div2k import evaluation_pairs
from calib.errors import ImageError, ImageSetError, UsageError
from calib.images import read_image, write_image
from calib.records import read


@pytest.fixture(scope="module")
def photos(photograph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "b").mkdir()
    write_image(folder / "a.png", photograph[:101, :130])
    write_image(folder / "b" / "a.png", photograph[::-1].copy())
    write_image(folder / "c.png", photograph[:, ::-1].copy())
    return folder


def made(photos: Path, out: Path, *, threads: int | None = None, **options) -> PairsRecord:
    out.mkdir()
    request = PairsRequest(photos, out, Degradation(2), **options)
    return write_pairs(request, threads=threads)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_pairs_are_found_as_evaluation_pairs_and_made_again_from_the_record(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    record = made(photos, out, seed=4)
    assert read(out / PAIRS_NAME, PairsRecord, UsageError, "") == record
    assert [pair.source for pair in record.pairs] == ["a.png", "b/a.png", "c.png"]
    pairs = evaluation_pairs(out, 2)
    assert [pair.name for pair in pairs] == ["a", "b-a", "c"]
    for found, said in zip(pairs, record.pairs, strict=True):
        assert (found.hr, found.lr) == (out / said.hr, out / said.lr)
        hr, lr = read_image(found.hr), read_image(found.lr)
        source = read_image(photos / said.source)
        np.testing.assert_array_equal(hr, source[: hr.shape[0], : hr.shape[1]])
        assert all(0 <= s - h < 2 for s, h in zip(source.shape, hr.shape, strict=True))
        np.testing.assert_array_equal(lr, follow(said.recipe, hr, 2))
        assert (sha256_bytes(hr.tobytes()), sha256_bytes(lr.tobytes())) == (
            said.hr_sha256,
            said.lr_sha256,
        )


def test_neither_threads_nor_order_nor_other_photographs_change_a_byte(
    photos: Path, tmp_path: Path
) -> None:
    made(photos, tmp_path / "one", threads=1, crop_px=64)
    made(photos, tmp_path / "three", threads=3, crop_px=64)
    expected = contents(tmp_path / "one")
    assert len(expected) == 7
    assert contents(tmp_path / "three") == expected
    (tmp_path / "alone").mkdir()
    shutil.copy(photos / "c.png", tmp_path / "alone" / "0.png")
    made(tmp_path / "alone", tmp_path / "fewer", crop_px=64)
    (lr,) = (tmp_path / "fewer").rglob("0x2.png")
    assert lr.read_bytes() == expected["DIV2K_valid_LR_degraded/X2/cx2.png"]


def test_crops_lie_within_the_photograph_and_move_with_the_seed(
    photos: Path, tmp_path: Path
) -> None:
    corners = set()
    for seed in range(3):
        record = made(photos, tmp_path / str(seed), seed=seed, crop_px=65, count=1)
        (pair,) = record.pairs
        hr = read_image(tmp_path / str(seed) / pair.hr)
        source = read_image(photos / pair.source)
        assert hr.shape == (64, 64, 3)
        cut = source[pair.top : pair.top + 64, pair.left : pair.left + 64]
        np.testing.assert_array_equal(hr, cut)
        corners.add((pair.top, pair.left))
    assert len(corners) == 3


def test_what_cannot_be_paired_is_refused_in_words(photos: Path, tmp_path: Path) -> None:
    twice = Path(shutil.copytree(photos, tmp_path / "twice"))
    shutil.copy(twice / "c.png", twice / "b-a.png")
    with pytest.raises(UsageError, match=r"would both become b-a\.png"):
        made(twice, tmp_path / "out1")
    full = tmp_path / "full"
    made(photos, full)
    with pytest.raises(UsageError, match="expected a new or an empty folder"):
        write_pairs(PairsRequest(photos, full, Degradation(2)))
    with pytest.raises(UsageError, match="is a DIV2K layout"):
        made(full, tmp_path / "out2")
    (tmp_path / "out3").mkdir()
    with pytest.raises(ImageError, match="sides of at least 128"):
        write_pairs(PairsRequest(photos, tmp_path / "out3", Degradation(8)))
    assert not (tmp_path / "out3" / PAIRS_NAME).exists()
    with pytest.raises(ImageSetError, match="no images"):
        made(tmp_path / "out1", tmp_path / "out4")
