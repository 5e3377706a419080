"""Calibration tables: the same bytes for the same content, and every mismatch refused."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib.archive import write_archive
from calib.digest import sha256_bytes
from calib.errors import CalibrationError, StaleTableError, UsageError
from calib.images_record import ImagesRecord, PatchRecord
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable
from calib.tile import USUAL_SIZE

GRAPH = "0" * 64
TENSORS = ("input", "/body.0/act", "output")


def images(*names: str) -> ImagesRecord:
    patches = tuple(PatchRecord(name, sha256_bytes(name.encode())) for name in names)
    return ImagesRecord("folder", "whole", 0, None, len(names), USUAL_SIZE, "0" * 64, patches)


def statistics(seed: int) -> dict[str, TensorStatistics]:
    rng = np.random.default_rng(seed)
    return {
        name: TensorStatistics.of(rng.normal(0, 1 + seed, (1, 4, 8, 8)).astype(np.float32))
        for name in TENSORS
    }


@pytest.fixture
def table() -> CalibrationTable:
    merged = {name: s.merge(statistics(1)[name]) for name, s in statistics(0).items()}
    return CalibrationTable(GRAPH, images("a", "b"), merged)


def read(path: Path) -> list[bytes]:
    return [path.with_suffix(suffix).read_bytes() for suffix in (".json", ".npz")]


def test_a_saved_table_is_read_back_whole(table: CalibrationTable, tmp_path: Path) -> None:
    written = table.save(tmp_path / "calibration.json")
    assert sorted(tmp_path.iterdir()) == sorted(written)
    loaded = CalibrationTable.load(tmp_path / "calibration.json")
    assert loaded.digest == table.digest
    assert loaded.images == table.images
    assert list(loaded.tensors) == list(TENSORS)
    for name, expected in table.tensors.items():
        found = loaded.tensors[name]
        np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
        np.testing.assert_array_equal(found.channels.abs_max, expected.channels.abs_max)
        np.testing.assert_array_equal(found.channel_mean, expected.channel_mean)
        for percentile in (99, 99.99, 100):
            assert found.range(percentile) == expected.range(percentile)


def test_equal_tables_are_equal_bytes(
    table: CalibrationTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.save(tmp_path / "first.json")
    monkeypatch.setattr("time.time", lambda: 2e9)
    CalibrationTable.load(tmp_path / "first.json").save(tmp_path / "second.json")
    assert read(tmp_path / "first.json") == read(tmp_path / "second.json")


def test_numpy_reads_the_arrays(table: CalibrationTable, tmp_path: Path) -> None:
    _, path = table.save(tmp_path / "calibration.json")
    with np.load(path) as arrays:
        assert arrays["counts"].sum() == 3 * 2 * 4 * 8 * 8


def test_the_json_shows_percentile_ranges(table: CalibrationTable, tmp_path: Path) -> None:
    path, _ = table.save(tmp_path / "calibration.json")
    shown = json.loads(path.read_bytes())["tensors"][1]
    assert shown["name"] == "/body.0/act"
    assert shown["ranges"]["99.99"] == list(table.tensors["/body.0/act"].range(99.99))


def test_another_graphs_table_is_refused_with_both_digests(table: CalibrationTable) -> None:
    table.require_network(GRAPH)
    with pytest.raises(StaleTableError, match=f"{GRAPH}.*{'1' * 64}"):
        table.require_network("1" * 64)


def test_halves_of_two_tables_do_not_pass(table: CalibrationTable, tmp_path: Path) -> None:
    table.save(tmp_path / "a.json")
    other = replace(table, tensors=statistics(5))
    other.save(tmp_path / "b.json")
    (tmp_path / "b.npz").replace(tmp_path / "a.npz")
    with pytest.raises(CalibrationError, match="do not belong together"):
        CalibrationTable.load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("minimum", -100.0, r"tensors\[0\]: the extremes \(-100.0, .* the histogram is corrupt"),
        ("bins", 3, "tensors need .* values of counts, expected"),
        ("first_bin", 0, "the histogram is corrupt"),
        ("observations", 0, "observations is 0, expected greater than or equal to 1"),
        ("observations", 7, r"tensors\[0\]: its counts .* contradict the record of 'input'"),
        ("count", 9, r"tensors\[0\]: its counts .* contradict the record of 'input'"),
        ("channels", 2, "tensors need .* values of channel_minimum, expected"),
        ("name", "output", "tensors lists a name twice"),
        ("ranges", {"99.9": [0, 1]}, r"tensors\[0\] contradicts its histogram; calibrate again"),
    ],
)
def test_a_changed_entry_is_noticed(
    table: CalibrationTable, tmp_path: Path, entry: str, value: object, message: str
) -> None:
    path, _ = table.save(tmp_path / "calibration.json")
    content = json.loads(path.read_bytes())
    assert entry in content["tensors"][0]
    content["tensors"][0][entry] = value
    path.write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match=message):
        CalibrationTable.load(path)


def test_a_changed_count_is_noticed(table: CalibrationTable, tmp_path: Path) -> None:
    path, arrays_path = table.save(tmp_path / "calibration.json")
    with np.load(arrays_path) as stored:
        arrays = dict(stored)
    arrays["counts"][0] += 1
    write_archive(arrays_path, arrays, compress=True)
    with pytest.raises(CalibrationError, match="do not belong together"):
        CalibrationTable.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"{", "calibration.json is not JSON: EOF", id="cut-off"),
        pytest.param(b"[1]", r"is \[1\], expected an object", id="list"),
        pytest.param(b'{"schema": "esrdeploy.calibration/99"}', "calibration/99", id="future"),
        pytest.param(b"\x80\x81 table", "is not JSON", id="binary"),
    ],
)
def test_files_that_are_no_table_are_refused(
    table: CalibrationTable, tmp_path: Path, content: bytes, message: str
) -> None:
    path, _ = table.save(tmp_path / "calibration.json")
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match=message):
        CalibrationTable.load(path)


def test_missing_entries_are_named(table: CalibrationTable, tmp_path: Path) -> None:
    path, _ = table.save(tmp_path / "calibration.json")
    content = json.loads(path.read_bytes())
    del content["images"]
    path.write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match="json: images is missing"):
        CalibrationTable.load(path)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_missing_half_is_named(table: CalibrationTable, tmp_path: Path, suffix: str) -> None:
    path, _ = table.save(tmp_path / "calibration.json")
    path.with_suffix(suffix).unlink()
    with pytest.raises(CalibrationError, match=f"calibration{suffix}"):
        CalibrationTable.load(path)


def test_damaged_arrays_are_refused(table: CalibrationTable, tmp_path: Path) -> None:
    path, arrays_path = table.save(tmp_path / "calibration.json")
    content = arrays_path.read_bytes()
    arrays_path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CalibrationError, match="npz cannot be read"):
        CalibrationTable.load(path)
    with zipfile.ZipFile(arrays_path, "w") as archive:
        archive.writestr("counts.npy", b"not an array")
    with pytest.raises(CalibrationError, match="npz cannot be read"):
        CalibrationTable.load(path)


def test_a_folder_that_cannot_be_written_is_named(table: CalibrationTable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        table.save(tmp_path / "absent" / "calibration.json")
