"""The middle tiles of other photographs: which pixels, and float held against itself."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from quality.builds import Network, Setting
from quality.kept_scores import kept_scores
from quality.tiles import TileParity, TilesTable, centre_tiles, moved_by_one_level, tiles_drawn

from calib.arrays import Float32
from calib.images import write_image

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
negative (float[1, 3, 16, 16] input) => (float[1, 3, 16, 16] output) { output = Neg(input) }
"""


def test_tiles_are_the_middle_pixels_reflected_where_there_are_too_few(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:200, 0:120].astype(np.uint8)
    write_image(tmp_path / "a.png", np.stack([rows, columns, rows], axis=-1))
    ((name, tile),) = centre_tiles(tmp_path)
    assert name == "a.png"
    assert tile.shape == (1, 3, 128, 128)
    levels = np.round(tile[0] * 255)
    assert levels[0, :, 0].tolist() == list(range(36, 164))
    assert levels[1, 0].tolist() == [*range(120), *range(118, 110, -1)]


def test_a_grey_level_moves_up_down_or_not_and_stays_a_picture() -> None:
    start = np.linspace(0.0, 1.0, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)
    moved = moved_by_one_level(start, np.random.default_rng(0))
    steps = (moved - start) * 255
    assert (moved.min(), moved.max()) == (0.0, 1.0)
    inside = steps[(start > 1 / 255) & (start < 254 / 255)]
    assert set(np.round(inside, 2).tolist()) == {-1.0, 0.0, 1.0}
    assert np.abs(np.bincount(np.round(inside + 1).astype(int)) / inside.size - 1 / 3).max() < 0.03


@pytest.mark.parametrize("gain", [1.0, 8.0])
def test_float_agrees_with_itself_as_far_as_it_is_sensitive(gain: float) -> None:
    def run(shown: Float32) -> Float32:
        return np.float32(0.5) + np.float32(gain) * (shown - np.float32(0.5))

    shown = np.full((1, 3, 128, 128), 0.5, np.float32)
    (tile,) = tiles_drawn(iter([("gray", shown)]), run)
    # Two of three values move by one level: a mean squared error of 2/3 of a squared level.
    expected_db = -10 * np.log10(2 / 3 * (gain / 255) ** 2)
    assert tile.itself_db == pytest.approx(expected_db, abs=0.05)


def test_the_table_names_the_lowest_tile_and_how_float_stands_there() -> None:
    blank = np.zeros((1, 3, 128, 128), np.float32)
    names = ("a", "b", "c")
    tiles = tuple(tiles_drawn(iter([(name, blank) for name in names]), lambda shown: shown))
    table = TilesTable(tiles)
    *_, line = table.head()
    assert [cell.strip() for cell in line.split("|")][1] == "float, input moved by one grey level"
    with_self = {tile.name: f"{tile.itself_db:.2f}" for tile in tiles}
    lowest = min(with_self, key=lambda name: with_self[name])
    assert [cell.strip() for cell in line.split("|")][3:7] == [
        with_self[lowest],
        sorted(with_self.values())[1],
        lowest,
        with_self[lowest],
    ]


def test_scores_are_kept_for_the_same_model_and_tile_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), path)
    asked: list[str] = []

    def judge(tile: object, output: Float32) -> TileParity:
        asked.append(str(output.shape))
        return TileParity("t", float(output.mean()))

    side = 16
    shown = np.full((1, 3, side, side), 0.5, np.float32)
    (tile,) = tiles_drawn(iter([("t", shown)]), lambda x: x)
    first = kept_scores(path, "tiles", [tile], TileParity, judge)
    assert kept_scores(path, "tiles", [tile], TileParity, judge) == first
    assert len(asked) == 1
    (other,) = tiles_drawn(iter([("t", shown * np.float32(0.5))]), lambda x: x)
    kept_scores(path, "tiles", [other], TileParity, judge)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("words", "name", "weights"),
    [("x4plus", "x4plus", None), ("mine=a/b.pth", "mine", Path("a/b.pth"))],
)
def test_a_network_may_come_with_weights(words: str, name: str, weights: Path | None) -> None:
    assert Network.of(words) == Network(name, weights)


def test_high_effort_is_built_beside_what_is_not() -> None:
    normal, high = Setting("full-integer", "normal"), Setting("full-integer", "high")
    assert normal.folder != high.folder
    assert high.options == ["--target", "ort", "--full-integer", "--effort", "high"]
    assert normal.options == ["--target", "ort", "--full-integer"]


def test_further_options_are_built_beside_what_has_none() -> None:
    plain = Setting("ort", "normal")
    head, growth = (
        Setting("ort", "normal", also) for also in ("--head int8", "--equalization growth")
    )
    assert len({plain.folder, head.folder, growth.folder}) == 3
    assert head.options == ["--target", "ort", "--head", "int8"]
    assert head.shown == " --head int8"
    assert not plain.shown
    learned = Setting("full-integer", "high", " --trunk int16")
    assert learned.shown == " --full-integer --trunk int16 --effort high"
