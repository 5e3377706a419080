"""Every kind of picture: enlarged with what it had, or refused in one line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import pyvips

from deploy.runtime.resized import resized_model
from deploy.runtime.runner import model_runner
from deploy.upscale.photograph import read_photograph
from tests.deploy.builds import FLOAT, run
from tests.deploy.upscale.conftest import KINDS, image, photo, write_kind

LOSSY = (".webp", ".AVIF", ".jpg", ".jpeg")


def enlarged(samples: np.ndarray, build: Path) -> np.ndarray:
    """Return float64 [4H, 4W, C] in [0, 1]: the float network on colour and on alpha, untiled."""
    height, width, channels = samples.shape
    padded = np.pad(
        samples / np.iinfo(samples.dtype).max,
        ((0, max(0, 16 - height)), (0, max(0, 16 - width)), (0, 0)),
        mode="reflect",
    )
    model = resized_model(onnx.load(build / FLOAT), *padded.shape[:2], 4)
    run_network = model_runner(model, optimized=True)
    drawn = []
    colours = 3 if channels > 2 else 1
    for part in (padded[:, :, :colours], padded[:, :, colours:]):
        if part.shape[2]:
            planes = np.broadcast_to(part, (*part.shape[:2], 3)).transpose(2, 0, 1)[np.newaxis]
            output = run_network(np.ascontiguousarray(planes, np.float32))[0]
            drawn.append(output if part.shape[2] == 3 else output.mean(0, keepdims=True))
    whole = np.concatenate(drawn).transpose(1, 2, 0)[: 4 * height, : 4 * width]
    return np.clip(whole, 0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_keeps_what_it_is(kind: str, built: Path, tmp_path: Path) -> None:
    source = write_kind(kind, tmp_path)
    out = tmp_path / "out" / kind
    result = run("upscale", source, out, "--builds", built, "--backend", "ort", "-p", "fp32")
    assert result.exit_code == 0, result.output
    before, after = read_photograph(source), read_photograph(out)
    expected = enlarged(before.samples, built)
    most = np.iinfo(after.samples.dtype).max
    assert after.samples.dtype == before.samples.dtype
    assert after.samples.shape == expected.shape
    error = np.abs(after.samples.astype(float) - expected * most)
    if kind.endswith(LOSSY):
        assert error.mean() < 0.06 * most
    else:
        assert error.max() <= 0.51 if most == 255 else error.max() <= 2
    for name in ("icc-profile-data", "exif-data", "xmp-data"):
        assert bool(after.header.get_typeof(name)) == bool(before.header.get_typeof(name))
    assert {path.name for path in out.parent.iterdir()} == {kind}


def test_a_picture_is_turned_upright_once(built: Path, tmp_path: Path) -> None:
    source = write_kind("turned.jpg", tmp_path)
    assert read_photograph(source).samples.shape == (37, 23, 3)
    out = tmp_path / "out.jpg"
    assert run("upscale", source, out, "--builds", built, "--backend", "ort").exit_code == 0
    stored = pyvips.Image.new_from_file(str(out))
    assert (stored.height, stored.width) == (148, 92)
    assert not stored.get_typeof("orientation") or stored.get("orientation") == 1


def test_metadata_and_profile_are_kept(built: Path, tmp_path: Path) -> None:
    source, out = write_kind("profile.jpg", tmp_path), tmp_path / "out.png"
    made = pyvips.Image.new_from_file(str(source)).copy_memory()
    made.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ada (Ada, ASCII, 4 components)")
    made.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    made.jpegsave(str(source))
    assert run("upscale", source, out, "--builds", built, "--backend", "ort").exit_code == 0
    before, after = pyvips.Image.new_from_file(str(source)), pyvips.Image.new_from_file(str(out))
    assert after.get("icc-profile-data") == before.get("icc-profile-data")
    assert "adobe:ns:meta" in after.get("xmp-data").decode()
    assert after.get("exif-ifd0-Artist").startswith("Ada")


def animation(path: Path) -> None:
    frames = [image(photo(channels=3, height=24)), image(photo(channels=3, height=24)[::-1])]
    stack = pyvips.Image.arrayjoin(frames, across=1).copy_memory()
    stack.set_type(pyvips.GValue.gint_type, "page-height", 24)
    stack.webpsave(str(path))


def cut_off(path: Path) -> None:
    image(photo(100, 100)).jpegsave(str(path))
    path.write_bytes(path.read_bytes()[:1500])


REFUSED = {
    "moving.webp": (animation, "holds 2 frames or pages"),
    "cut.jpg": (cut_off, "is no whole picture"),
    "empty.png": (lambda path: path.write_bytes(b""), "the file is empty"),
    "text.png": (lambda path: path.write_text("no picture"), "is no whole picture"),
    "float.tif": (lambda path: image(photo()).cast("float").tiffsave(str(path)), "type float"),
    "picture.gif": (lambda path: path.write_bytes(b"GIF89a"), "expected one of .png"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_such_picture_is_refused_in_one_line(
    name: str, built: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, reason = REFUSED[name]
    source, out = tmp_path / name, tmp_path / "out.png"
    make(source)
    result = run("upscale", source, out, "--builds", built, "--backend", "ort")
    assert result.exit_code == 2
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("esrdeploy: ")]
    assert reason in line
    assert name in line
    assert not out.exists()
    assert "warn" not in capfd.readouterr().err.lower()
