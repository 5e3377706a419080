"""Files beside float on whole photographs: every used pixel once or twice, the worst tile found."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from calib.colours import RGB
from calib.images import to_input, write_image
from deploy.artifacts.onnx_files import read_model
from deploy.evaluate.compare_photographs import ComparisonRequest, compare_photographs
from deploy.metrics.psnr_ssim import parity_db
from deploy.progress import Silent
from deploy.runtime.runner import model_runner
from deploy.runtime.tiling import Tiling
from tests.deploy.builds import run


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """Calm but for one corner, 150 rows of 210."""
    picture = np.full((150, 210, 3), 120, np.uint8)
    picture[90:, 150:] = data.coffee()[90:150, 150:210]
    return picture


@pytest.fixture(scope="module")
def pictures(photograph: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That photograph and, in a folder, one that the sample's calibration pictures are of."""
    folder = tmp_path_factory.mktemp("pictures")
    write_image(folder / "mine.png", photograph)
    (folder / "seen").mkdir()
    write_image(folder / "seen" / "astronaut.png", data.astronaut())
    return folder


def test_the_worst_tile_is_named_with_its_figures(
    small_build: Path, pictures: Path, photograph: np.ndarray
) -> None:
    request = ComparisonRequest(
        [pictures / "mine.png"], builds=small_build.parent, precisions=("int8",)
    )
    (found,) = compare_photographs(request, Silent())
    float_run, int8_run = (
        model_runner(read_model(small_build / f"small-{name}.onnx"), optimized=optimized)
        for name, optimized in (("fp32", True), ("int8-openvino", False))
    )
    parities, largest = {}, 0
    tiling = Tiling(150, 210)
    for row, rows in tiling.used(0):
        for column, columns in tiling.used(1):
            taken = to_input(photograph[row : row + 128, column : column + 128], RGB)
            used = [
                np.clip(drawn(taken), 0, 1)[
                    :, :, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop
                ]
                for drawn in (float_run, int8_run)
            ]
            parities[column, row] = parity_db(*used)
            levels = [np.rint(drawn * 255) for drawn in used]
            largest = max(largest, int(np.abs(levels[0] - levels[1]).max()))
    assert found.tiles == len(parities) == 6
    assert found.parity_db_mean == pytest.approx(np.mean(list(parities.values())))
    assert found.parity_db_lowest == pytest.approx(min(parities.values()))
    assert (found.x, found.y) == min(parities, key=parities.__getitem__)
    assert found.largest == largest > 0
    assert not found.calibrated_on


def test_every_pixel_is_used_and_none_of_a_discarded_rim() -> None:
    for height, width in ((128, 128), (150, 210), (129, 700)):
        counted = np.zeros((height, width), int)
        tiling = Tiling(height, width)
        for row, rows in tiling.used(0):
            for column, columns in tiling.used(1):
                counted[row:, column:][rows, columns] += 1
        assert counted.min() >= 1


def test_the_command_compares_what_was_calibrated_on_and_says_so(
    small_build: Path, pictures: Path
) -> None:
    result = run("compare", pictures, "--builds", small_build.parent)
    assert result.exit_code == 0, result.output
    assert "so that these figures flatter: seen/astronaut.png\n" in result.stdout
    assert "small-int8-openvino.onnx beside float" in result.stdout
    shown = json.loads(run("compare", pictures, "--builds", small_build.parent, "--json").stdout)
    seen = {item["picture"]: item["calibrated_on"] for item in shown["pictures"]}
    assert seen == {"mine.png": False, "seen/astronaut.png": True}


def test_what_cannot_be_compared_is_refused(
    small_build: Path, pictures: Path, tmp_path: Path
) -> None:
    there = ["--builds", small_build.parent]
    for arguments, words in (
        ([tmp_path / "none.png"], "found no picture or folder"),
        ([tmp_path], "no images"),
        ([pictures / "mine.png", "--precision", "fp32"], "found no file to compare with float"),
        ([pictures / "mine.png", "--target", "qnn"], "no int8 model for qnn"),
    ):
        refused = run("compare", *arguments, *there)
        assert refused.exit_code == 2
        assert words in refused.stderr
