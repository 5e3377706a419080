"""int8 held against float on the test chart: each patch by itself, the lowest named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.arrays import Float32
from calib.chart import PATCH_PX, chart_patches, chart_picture
from calib.images import to_input
from calib.tile import Size
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.metrics.thresholds import threshold_of
from deploy.progress import Silent
from deploy.report import remake_report
from deploy.runtime.outputs import Drawn
from deploy.verify.chart import ChartParity, PatchParity, measure_chart
from deploy.verify.contents import open_build

NEEDED_DB = threshold_of("int8", "picture").psnr_db


@pytest.fixture
def build(small_build: Path) -> Build:
    return open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build


def int8_of(build: Build) -> str:
    (name,) = [item.path for item in build.manifest.models() if item.precision == "int8"]
    return name


def drawn(build: Build, found: Float32, expected: Float32) -> Drawn:
    picture = chart_picture(build.manifest.network.tile.size).name
    return {
        (int8_of(build), picture): found,
        (build.manifest.float_artifact.path, picture): expected,
    }


def test_a_wrong_patch_is_the_lowest_and_the_others_stay(build: Build) -> None:
    size = build.manifest.network.tile.size
    expected = np.full((1, 3, 256, 256), 0.5, np.float32)
    found = expected + np.float32(0.01)
    patches = list(chart_patches(size))
    wrong = patches[9]
    scale = 2
    rows, columns = (slice(scale * at, scale * (at + PATCH_PX)) for at in (wrong.top, wrong.left))
    found[:, :, rows, columns] += np.float32(0.09)
    (chart,) = measure_chart(build, Silent(), drawn(build, found, expected))
    assert chart.artifact == int8_of(build)
    assert {patch.patch for patch in chart.patches} == {patch.name for patch in patches}
    lowest, *others = chart.patches
    assert (lowest.patch, lowest.parity_db) == (wrong.name, pytest.approx(20.0, abs=1e-3))
    assert [other.parity_db for other in others] == pytest.approx([40.0] * 15, abs=1e-3)
    assert chart.low == (lowest,)
    assert f"20.0 dB on {wrong.name}; at least 40.0 dB on the other 15." in str(chart)


def test_files_are_drawn_where_nothing_is_known(build: Build) -> None:
    (alone,) = measure_chart(build, Silent())
    picture = chart_picture(build.manifest.network.tile.size)
    shown = to_input(picture.load(), build.manifest.network.tile.channels)
    blank = np.zeros((1, 3, 2 * shown.shape[2], 2 * shown.shape[3]), np.float32)
    (other,) = measure_chart(build, Silent(), {(int8_of(build), picture.name): blank})
    assert min(patch.parity_db for patch in alone.patches) > 15.0
    # This network draws roughly its input, which black comes near to, and white does not.
    by_patch = {patch.patch: patch.parity_db for patch in other.patches}
    assert by_patch["white"] < 3.0
    assert by_patch["black"] > 10.0


@pytest.mark.parametrize("spoilt", ["float", "int8"])
def test_what_does_not_draw_is_left_to_the_comparison(build: Build, spoilt: str) -> None:
    broken = np.full((1, 3, 256, 256), np.nan, np.float32)
    good = np.zeros((1, 3, 256, 256), np.float32)
    known = drawn(build, *((good, broken) if spoilt == "float" else (broken, good)))
    assert measure_chart(build, Silent(), known) == ()
    files = {name: onnx.ModelProto() for name in build.files}
    assert measure_chart(replace(build, files=files), Silent()) == ()


def test_maps_and_small_inputs_have_no_chart(build: Build) -> None:
    network = build.manifest.network
    maps = replace(build.manifest, network=replace(network, output="map"))
    assert measure_chart(replace(build, manifest=maps), Silent()) == ()
    small = replace(network, tile=replace(network.tile, height_px=16))
    assert not any(chart_patches(Size(16, 128)))
    manifest = replace(build.manifest, network=small)
    assert measure_chart(replace(build, manifest=manifest), Silent()) == ()


def test_nothing_is_drawn_for_a_build_without_int8(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tuple(item for item in build.manifest.artifacts if item.precision != "int8")
    without = replace(build, manifest=replace(build.manifest, artifacts=kept))
    monkeypatch.setattr("deploy.verify.chart.judged_runner", None)
    assert measure_chart(without, Silent()) == ()


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ((40.0, 41.0), "f on a test chart: at least 40.0 dB on each of 2 patches"),
        ((20.0, 21.0), "f on a test chart: 20.0 dB on a, 21.0 dB on b. To enlarge such"),
        ((20.0, 30.0), "f on a test chart: 20.0 dB on a; at least 30.0 dB on the other 1. To"),
    ],
)
def test_the_line_names_what_is_low(levels: tuple[float, float], words: str) -> None:
    patches = tuple(PatchParity(name, db) for name, db in zip("ab", levels, strict=True))
    chart = ChartParity("f", patches)
    assert [patch.parity_db for patch in chart.low] == [db for db in levels if db < NEEDED_DB]
    assert str(chart).startswith(words)


def test_the_report_shows_every_patch(small_build: Path, tmp_path: Path) -> None:
    for path in small_build.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    remake_report(tmp_path, Silent())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<h2 id="chart">') :].partition("</section>")[0]
    for patch in chart_patches(Size(128, 128)):
        assert f"<td>{patch.name}</td>" in section
    counted = "patches of a test chart it is not acceptable"
    verdict = page[: page.index("</section>")]
    assert (counted in " ".join(verdict.split())) == ("<td>below</td>" in section)
