"""Clips: enlarged with all that they hold, whenever they are killed, or refused in one line."""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deploy.upscale.built_file import find_file
from deploy.upscale.enlarge import enlarge
from deploy.upscale.load import load_network
from deploy.upscale.video import draw
from deploy.upscale.video.clip import read_clip
from deploy.upscale.video.colour import Converter
from deploy.upscale.video.segments import SEGMENT_FRAMES
from tests.deploy.builds import run
from tests.deploy.upscale.conftest import image, photo

av = pytest.importorskip("av", reason="needs the extra video")
from tests.deploy.upscale.video.clips import (  # noqa: E402
    RATE,
    SIDES,
    frames_of,
    packets_of,
    write_clip,
)

OPTIONS = ("--backend", "ort", "-p", "fp32", "--builds")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_that_a_clip_holds_comes_along(built: Path, tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "clip.mkv",
        sound=True,
        subtitles=True,
        turned=90,
        colorspace=6,
        color_primaries=6,
        color_trc=6,
        color_range=1,
        sample_aspect_ratio=Fraction(16, 15),
    )
    out = tmp_path / "out.mkv"
    result = run("upscale", source, out, *OPTIONS, built)
    assert result.exit_code == 0, result.output
    assert "1 drawn with tiny-fp32.onnx" in result.stdout
    before, after = frames_of(source), frames_of(out)
    assert [frame.time for frame in after] == pytest.approx([frame.time for frame in before])
    for small, large in zip(before, after, strict=True):
        assert (large.height, large.width) == (4 * SIDES[0], 4 * SIDES[1])
        for name in ("colorspace", "color_primaries", "color_trc", "color_range", "rotation"):
            assert getattr(large, name) == getattr(small, name), name
    assert before[0].rotation == 90
    with av.open(str(out)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 15)
        assert container.streams.video[0].average_rate == RATE
    for kind in ("audio", "subtitle"):
        assert packets_of(source, kind) == packets_of(out, kind) != []
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mkv", "out.mkv"}


def test_the_frames_are_those_that_the_network_draws(built: Path, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", frames=3)
    out = tmp_path / "out.mkv"
    assert run("upscale", source, out, *OPTIONS, built, "--codec", "ffv1").exit_code == 0
    network = load_network(find_file(built, None, "fp32", "ort"))
    converter = Converter(read_clip(source).colour)
    for small, large in zip(frames_of(source), frames_of(out), strict=True):
        drawn = np.concatenate(list(enlarge(converter.samples(small), network)))
        expected = converter.frame(drawn, (large.height, large.width))
        np.testing.assert_array_equal(large.to_ndarray(), expected.to_ndarray())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_frames_are_shown_when_they_were(suffix: str, built: Path, tmp_path: Path) -> None:
    shown = [0, 7, 40, 41, 200, 201, 260, 300, 333, 334]
    options = {"bf": "2"}
    source = write_clip(
        tmp_path / f"clip{suffix}", shown=shown, time_base=Fraction(1, 1000), options=options
    )
    out = tmp_path / f"out{suffix}"
    result = run("upscale", source, out, *OPTIONS, built, "--scale", "1.5")
    assert result.exit_code == 0, result.output
    before, after = frames_of(source), frames_of(out)
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert (after[0].height, after[0].width) == (36, 60)


@pytest.mark.parametrize(
    ("codec", "kind", "suffix"),
    [
        ("h264", "yuv422p10le", ".mp4"),
        ("hevc", "yuv420p10le", ".mp4"),
        ("av1", "yuv420p", ".webm"),
        ("ffv1", "yuv444p", ".mkv"),
        ("ffv1", "gray", ".mkv"),  # from H.264 FFmpeg decodes gray to 4:2:0
    ],
)
def test_codecs_keep_chroma_and_bits(
    codec: str, kind: str, suffix: str, built: Path, tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "clip.mkv", frames=3, kind=kind, codec="ffv1")
    out = tmp_path / f"out{suffix}"
    result = run("upscale", source, out, *OPTIONS, built, "--codec", codec)
    assert result.exit_code == 0, result.output
    after = frames_of(out)
    assert [frame.format.name for frame in after] == [kind] * 3
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec


def test_a_killed_run_ends_with_the_same_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2 * SEGMENT_FRAMES + 3
    source = write_clip(tmp_path / "clip.mkv", frames=count, sides=(16, 16), sound=True)
    whole, out = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    assert run("upscale", source, whole, *OPTIONS, built).exit_code == 0
    drawn = 0
    stops_at: int | None

    def counting(*arguments):
        nonlocal drawn
        drawn += 1
        if drawn == stops_at:
            raise KeyboardInterrupt
        return enlarge(*arguments)

    monkeypatch.setattr(draw, "enlarge", counting)
    for stops_at in (SEGMENT_FRAMES // 2 + 1, SEGMENT_FRAMES // 4):  # noqa: B007  # read above
        drawn = 0
        assert run("upscale", source, out, *OPTIONS, built).exit_code == 130
        assert not out.exists()
    kept = sorted(path.name for path in (tmp_path / ".out.mkv.unfinished").glob("*.nut"))
    assert kept == ["000000.nut"]
    drawn, stops_at = 0, None
    assert run("upscale", source, out, *OPTIONS, built).exit_code == 0
    assert drawn <= (count - SEGMENT_FRAMES + 1) // 2 + 1  # each is held for two frames
    assert out.read_bytes() == whole.read_bytes()
    times = [frame.time for frame in frames_of(out)]
    assert times == pytest.approx([number / RATE for number in range(count)], abs=0.001)
    assert not (tmp_path / ".out.mkv.unfinished").exists()


def test_what_another_job_left_is_not_taken(built: Path, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mkv", frames=3, sides=(16, 16))
    out, left = tmp_path / "out.mkv", tmp_path / ".out.mkv.unfinished"
    left.mkdir()
    (left / "job").write_text("another")
    (left / "000000.nut").write_bytes(b"of another clip")
    assert run("upscale", source, out, *OPTIONS, built).exit_code == 0
    assert len(frames_of(out)) == 3
    assert not left.exists()


def test_a_folder_of_pictures_and_clips(built: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_clip(folder / "clip.avi", frames=2, codec="mpeg4")
    image(photo()).pngsave(str(folder / "photo.png"))
    (folder / "broken.mp4").write_text("no clip")
    result = run("upscale", folder, out, *OPTIONS, built, "--json")
    assert result.exit_code == 1, result.output
    assert set(files(out)) == {"clip.mkv", "photo.png"}
    statuses = [item["status"] for item in json.loads(result.stdout)["pictures"]]
    assert statuses == ["failed", "drawn", "drawn"]


def test_a_full_disk_is_told_in_one_line(built: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of a Unix system")
    source, out = write_clip(tmp_path / "clip.mkv", frames=5), tmp_path / "out.mkv"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        refused = run("upscale", source, out, *OPTIONS, built)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.exit_code == 2, refused.output
    assert "cannot write" in refused.stderr.splitlines()[-1]
    assert not out.exists()
    assert run("upscale", source, out, *OPTIONS, built).exit_code == 0
    assert len(frames_of(out)) == 5


def cut(path: Path) -> None:
    write_clip(path, frames=100, sides=(64, 64), sound=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        heard = container.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        container.mux(heard.encode(silence))
        container.mux(heard.encode(None))


def fields(path: Path) -> None:
    write_clip(path, codec="mpeg2video", options={"flags": "+ilme+ildct", "top": "1"})


REFUSED = {
    "cut.mkv": (cut, "is cut off: ends at"),
    "cut.mp4": (cut, "is no whole clip"),
    "text.mp4": (lambda path: path.write_text("no clip"), "is no whole clip"),
    "empty.mkv": (lambda path: path.write_bytes(b""), "is no whole clip"),
    "sound.mp4": (of_sound, "has no video stream, but audio"),
    "fields.mkv": (fields, "is interlaced at 0.0 s"),
    "hdr.mkv": (lambda path: write_clip(path, kind="yuv420p10le", color_trc=16), "is HDR, PQ"),
    "deep.mkv": (lambda path: write_clip(path, kind="yuv420p12le", codec="ffv1"), "has 12 bits"),
    "alpha.mkv": (lambda path: write_clip(path, kind="yuva420p", codec="ffv1"), "alpha channel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_enlarged_is_refused_in_one_line(
    name: str, built: Path, tmp_path: Path
) -> None:
    make, reason = REFUSED[name]
    make(tmp_path / name)
    result = run("upscale", tmp_path / name, tmp_path / "out.mkv", *OPTIONS, built)
    assert result.exit_code == 2
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("esrdeploy: ")]
    assert reason in line
    assert name in line
    assert {path.name for path in tmp_path.iterdir()} == {name}


@pytest.mark.parametrize(
    ("out", "arguments", "reason"),
    [
        ("out.avi", [], "expected one of .mkv"),
        ("out.mkv", ["--crf", "60"], "found --crf 60 for h264"),
        ("out.mkv", ["--codec", "ffv1", "--crf", "1"], "it is lossless"),
        ("out.webm", ["--codec", "ffv1"], "webm holds no ffv1"),
        ("out.webm", [], "webm holds no aac"),
        ("out.mp4", [], "mp4 holds no subrip"),
    ],
)
def test_what_a_container_does_not_hold_is_refused(
    out: str, arguments: list[str], reason: str, built: Path, tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "clip.mkv", frames=2, sound=True, subtitles=True)
    result = run("upscale", source, tmp_path / out, *OPTIONS, built, *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mkv"}


def test_without_pyav_the_extra_is_named(built: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=1)
    shutil.copytree(built, tmp_path / "tiny")
    code = (
        "import sys; sys.modules['av'] = None; from deploy.cli import main; "
        "sys.argv[1:] = ['upscale', 'clip.mp4', 'out.mp4', '--builds', 'tiny']; main()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert "pip install 'av" in done.stderr.splitlines()[-1]
