"""A picture that tiles.py cuts and joins is the one that esrdeploy enlarges."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from calib.arrays import Float32
from calib.form import Form
from calib.images import in_channels, read_image, to_input, to_picture
from calib.tile import Tile
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.vendor import copy_standalone
from deploy.runtime.runner import model_runner
from deploy.runtime.tiling import tiled_runner
from tests.deploy.builds import run

RNG = np.random.default_rng(11)
SCALE = 2

Script = Callable[..., str]


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Run a bundle's tiles.py, and return what it says: of what it refuses, the one line."""

    def call(bundle: Path, *words: object, refused: bool = False) -> str:
        monkeypatch.setattr(sys, "path", [str(bundle), *sys.path])
        monkeypatch.setattr(sys, "argv", ["tiles.py", *map(str, words)])
        monkeypatch.delitem(sys.modules, "processing", raising=False)
        with pytest.raises(SystemExit, match="2") if refused else nullcontext():
            runpy.run_path(str(bundle / "tiles.py"), run_name="__main__")
        said = capsys.readouterr()
        assert said.err.count("\n") == refused
        return said.err if refused else said.out

    return call


def bundle_for(folder: Path, tile: Tile, form: Form | None = None) -> Path:
    """Make what of a bundle tiles.py needs."""
    folder.mkdir()
    for script in ("processing.py", "tiles.py"):
        copy_standalone(script, folder / script)
    network = {"tile": asdict(tile), "form": asdict(form or Form()), "scale": SCALE}
    (folder / "manifest.json").write_text(json.dumps({"network": network}))
    return folder


def drawn(network_input: Float32) -> Float32:
    """Enlarge as a network whose tiles differ towards their rims, below 0 and above 1 too."""
    large = network_input.repeat(SCALE, axis=2).repeat(SCALE, axis=3)
    rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in large.shape[2:])
    return large * np.float32(1.1) + rows[:, np.newaxis] * np.float32(0.1) - columns**2 / 8


def drawn_files(folder: Path, out: Path, form: Form) -> None:
    """Draw the inputs of a folder as a bundle's runner does."""
    out.mkdir()
    for path in folder.glob("*.npy"):
        np.save(out / path.name, form.given(drawn(form.planes_taken(np.load(path)))))


SIZES = [(1, 1), (1, 300), (40, 24), (128, 128), (129, 131), (200, 333)]


@pytest.mark.parametrize("kind", ["RGB", "gray", "opaque"])
@pytest.mark.parametrize("size", SIZES, ids=["x".join(map(str, size)) for size in SIZES])
def test_the_float_network_over_tiles_draws_what_upscale_draws(  # noqa: PLR0917
    unpacked: Path,
    small_build: Path,
    tmp_path: Path,
    tiles: Script,
    size: tuple[int, int],
    kind: str,
) -> None:
    channels = {"RGB": (3,), "gray": (), "opaque": (4,)}[kind]
    picture = RNG.integers(0, 256, (*size, *channels), np.uint8)
    if picture.size == 1:
        pytest.skip("upscale draws gray that is the same everywhere without the network")
    if kind == "opaque":
        picture[..., 3] = 255
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), picture)
    words = ("--own-tiles", "--precision", "fp32", "--backend", "ort", "--model", small_build)
    done = run("upscale", photo, tmp_path / "expected.png", *words)
    assert done.exit_code == 0, done.output
    tiles(unpacked, "cut", photo, tmp_path / "tiles")
    model = unpacked / read_contents(unpacked).float_model
    runner = model_runner(onnx.load(model), optimized=True)
    (tmp_path / "drawn").mkdir()
    inputs = sorted((tmp_path / "tiles").glob("*.npy"))
    assert inputs
    for path in inputs:
        np.save(tmp_path / "drawn" / path.name, runner(np.load(path)))
    tiles(unpacked, "join", tmp_path / "tiles", tmp_path / "drawn", tmp_path / "large.png")
    expected = cv2.imread(str(tmp_path / "expected.png"), cv2.IMREAD_UNCHANGED)
    found = cv2.imread(str(tmp_path / "large.png"), cv2.IMREAD_UNCHANGED)
    assert found.shape[:2] == (size[0] * SCALE, size[1] * SCALE)
    np.testing.assert_array_equal(found, expected[..., :3] if kind == "opaque" else expected)


NETWORKS = {
    "usual": (Tile(), Form()),
    "small": (Tile(24, 40), Form("float", "nhwc", "bgr")),
    "batch": (Tile(32, 32, 2), Form("uint8", "nhwc")),
    "gray": (Tile(32, 32, channels=1), Form("uint8", "nhwc")),
}


@pytest.mark.parametrize("size", SIZES, ids=["x".join(map(str, size)) for size in SIZES])
@pytest.mark.parametrize("margin_px", [None, 0, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_form_of_network_joins_as_esrdeploy_does(
    tmp_path: Path, tiles: Script, size: tuple[int, int], margin_px: int | None, network: str
) -> None:
    tile, form = NETWORKS[network]
    bundle = bundle_for(tmp_path / "bundle", tile, form)
    picture = RNG.integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    options = [] if margin_px is None else ["--margin", margin_px]
    tiles(bundle, "cut", tmp_path / "photo.png", tmp_path / "tiles", *options)
    drawn_files(tmp_path / "tiles", tmp_path / "drawn", form)
    tiles(bundle, "join", tmp_path / "tiles", tmp_path / "drawn", tmp_path / "large.png")
    whole = tiled_runner(drawn, SCALE, tile.size, margin_px=margin_px)
    seen = to_input(in_channels(read_image(tmp_path / "photo.png"), tile.channels), tile.channels)
    np.testing.assert_array_equal(read_image(tmp_path / "large.png"), to_picture(whole(seen)))


@pytest.mark.parametrize("returned", ["raw", "npz", "Result", "last", "half"])
def test_outputs_of_every_runner_are_joined_alike(
    tmp_path: Path, tiles: Script, returned: str
) -> None:
    bundle = bundle_for(tmp_path / "bundle", Tile(32, 32))
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 256, (40, 70, 3), np.uint8))
    form = {"raw": "raw", "Result": "raw", "npz": "npz"}.get(returned, "npy")
    folder, out = tmp_path / "tiles", tmp_path / "drawn"
    tiles(bundle, "cut", tmp_path / "photo.png", folder, "--form", form)
    tiles(bundle, "cut", tmp_path / "photo.png", tmp_path / "usual")
    drawn_files(tmp_path / "usual", tmp_path / "usual-drawn", Form())
    out.mkdir()
    inputs = sorted((tmp_path / "usual").glob("*.npy"))
    assert len(inputs) == 2 * 4
    listed = {"raw": "input_list.txt", "npz": "npz_datalist.txt"}.get(form)
    if listed is not None:
        lines = (folder / listed).read_text().splitlines()
        assert lines == [str(folder / f"{path.stem}.{form}") for path in inputs]
    for number, path in enumerate(inputs):
        taken = np.load(path)
        output = np.load(tmp_path / "usual-drawn" / path.name)
        if form == "raw":
            assert (folder / f"{path.stem}.raw").read_bytes() == taken.tobytes()
        elif form == "npz":
            with np.load(folder / f"{path.stem}.npz") as archive:
                np.testing.assert_array_equal(archive["input_0"] / np.float32(255), taken[0])
        if returned == "raw":
            output.tofile(out / f"{path.stem}.raw")
        elif returned == "Result":
            (out / f"Result_{number}").mkdir()
            output.tofile(out / f"Result_{number}" / "output.raw")
        elif returned == "npz":
            np.savez(out / f"{path.stem}.npz", output_0=output)
        elif returned == "last":
            np.save(out / path.name, output[0].transpose(1, 2, 0))
        else:
            np.save(out / path.name, output.astype(np.float16))
    tiles(bundle, "join", folder, out, tmp_path / "large.png")
    tiles(bundle, "join", tmp_path / "usual", tmp_path / "usual-drawn", tmp_path / "usual.png")
    found, expected = (read_image(tmp_path / name) for name in ("large.png", "usual.png"))
    off = np.abs(found.astype(int) - expected).max()
    assert off <= (1 if returned == "half" else 0)


def test_sixteen_bits_are_taken_in_eight(tmp_path: Path, tiles: Script) -> None:
    bundle = bundle_for(tmp_path / "bundle", Tile(32, 32))
    deep = RNG.integers(0, 65536, (20, 20, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    tiles(bundle, "cut", tmp_path / "deep.png", tmp_path / "tiles")
    found = np.load(tmp_path / "tiles" / "0000.npy")[:, :, :20, :20]
    np.testing.assert_array_equal(found, to_input(read_image(tmp_path / "deep.png"), 3))


def spoiled(record: Path, **changes: object) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


def changed(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


def stored_short(path: Path) -> None:
    np.load(path)[:, :, 1:].tofile(path.with_suffix(".raw"))
    path.unlink()


SPOILED = {
    "found 3 outputs": lambda _, last: last.unlink(),
    "found 5 outputs": lambda _, last: np.save(last.with_name("0004.npy"), np.zeros(1)),
    "found no 0003.npy": lambda _, last: last.rename(last.with_name("0009.npy")),
    "expected [1, 3, 64, 64]": lambda _, last: changed(last, lambda array: array[:, :, :32]),
    "0003.npy is no .npy": lambda _, last: changed(last, lambda array: array.astype(np.uint8)),
    "of floating-point numbers": lambda _, last: last.write_bytes(last.read_bytes()[:999]),
    "expected [N, C, H, W]": lambda _, last: stored_short(last),
    "NaN": lambda _, last: changed(last, lambda array: np.full_like(array, np.nan)),
    "'cut' writes it": lambda record, _: record.unlink(),
    "is none that 'cut' wrote": lambda record, _: spoiled(record, width_px="40"),
    "expected 0 to 15": lambda record, _: spoiled(record, margin_px=16),
    "another bundle's network": lambda record, _: spoiled(record, network={"scale": 4}),
}


@pytest.fixture
def small(tmp_path: Path, tiles: Script) -> Path:
    """A folder of a bundle, a photograph, its 4 tiles and what was drawn of them."""
    bundle = bundle_for(tmp_path / "bundle", Tile(32, 32))
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 255, (40, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "clear.png"), RNG.integers(0, 255, (40, 40, 4), np.uint8))
    tiles(bundle, "cut", tmp_path / "photo.png", tmp_path / "tiles")
    drawn_files(tmp_path / "tiles", tmp_path / "drawn", Form())
    return tmp_path


@pytest.mark.parametrize("said", SPOILED)
def test_tiles_that_make_no_picture_are_one_line(small: Path, tiles: Script, said: str) -> None:
    SPOILED[said](small / "tiles" / "tiles.json", small / "drawn" / "0003.npy")
    words = ("join", small / "tiles", small / "drawn", small / "large.png")
    assert said in tiles(small / "bundle", *words, refused=True)
    assert not (small / "large.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cut clear.png other", "has transparent pixels"),
        ("cut photo.png other --margin 16", "less than half of a tile"),
        ("cut photo.png other --margin -1", "expected 0 to 15"),
        ("cut photo.png tiles", "is not empty"),
        ("join tiles drawn large.jpg", "ends in .png"),
        ("join tiles absent large.png", "found no folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    small: Path, tiles: Script, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(small)
    before = sorted(small.rglob("*"))
    assert said in tiles(small / "bundle", *words.split(), refused=True)
    assert sorted(small.rglob("*")) == before


def test_outputs_that_were_there_before_the_tiles_are_doubted(
    small: Path, tiles: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small)
    said = tiles(small / "bundle", "join", "tiles", "drawn", "large.png")
    assert said == "large.png: 80x80 (height x width), of 4 tiles\n"
    cut_at = (small / "tiles" / "tiles.json").stat().st_mtime
    os.utime(small / "drawn" / "0002.npy", (cut_at - 9, cut_at - 9))
    monkeypatch.setattr(sys, "argv", ["tiles.py", "join", "tiles", "drawn", "again.png"])
    runpy.run_path(str(small / "bundle" / "tiles.py"), run_name="__main__")
    assert capsys.readouterr().err == (
        "outputs in drawn are older than tiles: of another picture?\n"
    )
    assert (small / "again.png").read_bytes() == (small / "large.png").read_bytes()
