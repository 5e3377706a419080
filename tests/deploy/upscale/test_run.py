"""Folders: what is skipped, listed, refused, and what a killed run leaves."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from deploy.upscale import write_picture as writing
from deploy.upscale.photograph import read_photograph
from deploy.upscale.write_picture import Drawing, write_picture
from tests.deploy.builds import run
from tests.deploy.upscale.conftest import image, photo

OPTIONS = ("--backend", "ort", "--builds")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_goes_on_after_a_bad_file(built: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "bad.png").write_text("no picture")
    (pictures / "notes.txt").write_text("a list")
    out = tmp_path / "out"
    result = run("upscale", pictures, out, *OPTIONS, built, "--recursive")
    assert result.exit_code == 1, result.output
    assert set(files(out)) == {"a.png", "b.jpg", "more/c.png"}
    assert "3 drawn with tiny-int8-ort.onnx, 1 failed" in result.stdout
    assert "1 files passed over, no pictures: notes.txt" in result.stdout
    assert "bad.png: is no whole picture" in result.stderr.splitlines()[-1]


def test_one_picture_is_not_taken_for_what_lies_under_its_name(
    built: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"kept")
    refused = run("upscale", pictures / "a.png", out, *OPTIONS, built)
    assert refused.exit_code == 2
    assert f"{out} is there already; --overwrite draws it anew" in refused.stderr
    assert out.read_bytes() == b"kept"
    assert run("upscale", pictures / "a.png", out, *OPTIONS, built, "--overwrite").exit_code == 0
    assert out.read_bytes() != b"kept"


@pytest.mark.parametrize("exists", [True, False], ids=["that is there", "of a new name"])
def test_a_picture_may_go_into_a_folder(
    exists: bool, built: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "enlarged"
    if exists:
        out.mkdir()
    assert run("upscale", pictures / "a.png", out, *OPTIONS, built).exit_code == 0
    assert set(files(out)) == {"a.png"}


def test_a_second_run_draws_what_is_missing(built: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("upscale", pictures, out, *OPTIONS, built).exit_code == 0
    first = files(out)
    assert set(first) == {"a.png", "b.jpg"}
    (out / "b.jpg").unlink()
    (out / ".b.jpg.part").write_bytes(b"what a killed run leaves")
    (out / "a.png").write_bytes(b"kept")
    again = run("upscale", pictures, out, *OPTIONS, built, "--json")
    statuses = [item["status"] for item in json.loads(again.stdout)["pictures"]]
    assert statuses == ["there already", "drawn"]
    assert files(out) == {**first, "a.png": b"kept"}
    assert run("upscale", pictures, out, *OPTIONS, built, "--overwrite").exit_code == 0
    assert files(out) == first


@pytest.mark.parametrize("scale", [2.5, 4, 0.3])
def test_another_scale_is_resized_behind_the_network(
    scale: float, built: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    result = run("upscale", pictures / "a.png", out, *OPTIONS, built, "--scale", scale)
    assert result.exit_code == 0, result.output
    assert read_photograph(out).samples.shape == (round(20 * scale), round(24 * scale), 3)


def test_a_comparison_stands_beside_the_picture(
    built: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert run("upscale", pictures / "a.png", out, *OPTIONS, built, "--compare").exit_code == 0
    both = read_photograph(tmp_path / "out.png-compare.png").samples
    assert both.shape == (80, 2 * 96 + 8, 3)
    np.testing.assert_array_equal(both[:, -96:], read_photograph(out).samples)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["photos", "photos"], "whose pictures are enlarged"),
        (["photos", "photos/out", "--recursive"], "whose pictures are enlarged"),
        (["photos/a.png", "photos/a.png"], "written over a picture"),
        (["photos", "out", "--format", "png"], "would all be written to"),
        (["clips", "out"], "clip.avi, clip.mkv would all be written to"),
        (["clips/clip.mkv", "clips/clip.mkv"], "written over a picture"),
        (["clips/clip.mkv", "out.png"], "expected one of .mkv"),
        (["photos/a.png", "out.bmp"], "expected one of .png"),
        (["absent.png", "out.png"], "no such picture, clip or folder"),
        (["photos/a.png", "out.png", "--scale", "0"], "expected above 0"),
        (["photos/a.png", "out.png", "--model", "absent"], "found no build of absent"),
        (["photos/a.png", "out.png", "--builds", "photos"], "run 'esrdeploy build"),
        (["photos/a.png", "out.png", "--provider", "cuda"], "has no provider cuda"),
        (["photos/rgba.png", "out.jpg"], "JPEG has no alpha channel"),
        (["photos/more", "photos/a.png"], "is a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments: list[str], reason: str, built: Path, pictures: Path, monkeypatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    shutil.copy(pictures / "a.png", pictures / "b.png")
    image(photo(channels=4)).pngsave(str(pictures / "rgba.png"))
    (pictures.parent / "clips").mkdir()
    for suffix in (".avi", ".mkv"):
        (pictures.parent / "clips" / f"clip{suffix}").touch()
    before = files(pictures.parent)
    options = [] if "--builds" in arguments else ["--builds", str(built)]
    result = run("upscale", *arguments, "--backend", "ort", *options)
    assert result.exit_code == 2
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("esrdeploy: ")]
    assert reason in line
    assert files(pictures.parent) == before


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif"])
def test_nothing_is_left_where_drawing_or_writing_fails(
    suffix: str, pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    like = read_photograph(pictures / "a.png")
    out = tmp_path / "made" / f"out{suffix}"
    out.parent.mkdir()

    def bands():
        yield np.zeros((40, 64, 3), np.uint8)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        write_picture(out, Drawing(80, 64, 3, 8, bands()), like, (80, 64), 90)
    assert files(out.parent) == {}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_save", full)
    whole = Drawing(80, 64, 3, 8, iter([np.zeros((80, 64, 3), np.uint8)]))
    with pytest.raises(UsageError, match="No space left"):
        write_picture(out, whole, like, (80, 64), 90)
    assert files(out.parent) == {}


def test_a_disk_that_is_full_is_told_in_one_line(pictures: Path) -> None:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no /dev/full on this system")
    like = read_photograph(pictures / "a.png")
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        save = writing._save
        patch.setattr(
            writing, "_save", lambda made, _part, path, quality: save(made, device, path, quality)
        )
        with pytest.raises(UsageError, match=r"cannot write .*out\.png"):
            write_picture(
                pictures / "out.png", Drawing(400, 400, 3, 8, iter([noise])), like, (400, 400), 90
            )
    assert not (pictures / "out.png").exists()
