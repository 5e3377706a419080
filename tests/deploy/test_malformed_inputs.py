"""No JSON file that is given to esrdeploy ends in a traceback: one line with a path, exit 2."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calib.archive import read_archive, write_archive
from calib.errors import CalibrationError, InputError, UsageError
from calib.journal import Journal
from calib.records import encode
from calib.table import CalibrationTable
from deploy.handoff.returned.quantization import (
    OutputQuantization,
    folder_quantization,
)
from quant.sensitivity import GroupCost, Sensitivity, SensitivityFile
from tests.deploy.builds import run
from tests.deploy.malformed import Spoiled, spoiled_texts, spoiled_values

SENSITIVITY = SensitivityFile(
    "0" * 64, Sensitivity((GroupCost("b", ("a", "b"), 1e-4, 9),), 2e-4, 2)
)
QUANTIZATION = OutputQuantization("int8", 0.5, 3)
JOB = {"graph": "1", "images": "2"}


def spoiled(content: bytes) -> list[Spoiled]:
    return [*spoiled_values(content), *spoiled_texts(content)]


@pytest.mark.parametrize(
    ("content", "name", "read", "expected"),
    [
        (encode(SENSITIVITY), "x.sensitivity.json", SensitivityFile.read, CalibrationError),
        (
            encode(QUANTIZATION),
            "quantization.json",
            lambda path: folder_quantization(path.parent),
            UsageError,
        ),
    ],
    ids=["sensitivity", "quantization of outputs"],
)
def test_spoiled_files_are_refused_or_read(
    content: bytes,
    name: str,
    read: Callable[[Path], object],
    expected: type[InputError],
    tmp_path: Path,
) -> None:
    path, refused = tmp_path / name, 0
    for document in spoiled(content):
        path.write_bytes(document.content)
        try:
            read(path)
        except expected as error:
            line = str(error)
        else:
            shorter = document.change == "missing" and isinstance(document.path[-1], int)
            assert shorter or document.change in {"= 7", '= "x"', "= []"}, document
            continue
        assert line.startswith(f"{path}"), document
        assert "\n" not in line, document
        refused += 1
    assert refused > 20


def test_a_spoiled_journal_is_put_aside(
    built: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = CalibrationTable.load(built / "calibration.json")
    tensors = dict([*table.tensors.items()][:2])
    journal = Journal(tmp_path / "calibration.journal", JOB)
    journal.write([0, 2], tensors)
    assert journal.read()[0] == {0, 2}
    arrays, record = read_archive(journal.path)
    assert record is not None
    for document in spoiled(record):
        write_archive(journal.path, arrays, record=document.content, compress=False)
        caplog.clear()
        done, _ = journal.read()
        taken = document.path[:1] == ("done",) or document.path[-1:] == ("name",)
        assert done == set() or taken, document
        assert "starting anew" in caplog.text or taken, document


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[" * 100_000, "calibration.json is not JSON: recursion limit exceeded"),
        (b"7", "calibration.json is 7, expected an object; calibrate again"),
        (b'{"schema": "esrdeploy.calibration/1"}', 'schema is "esrdeploy.calibration/1", expected'),
    ],
    ids=["deep", "number", "older"],
)
def test_a_table_that_is_none_is_a_wrong_input(
    content: bytes, line: str, tiny_weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    result = run(
        "build", "--model", "tiny", "--weights", tiny_weights, "--calib-table", path,
        "--out", tmp_path / "dist",
    )  # fmt: skip
    assert result.exit_code == 2
    assert line in " ".join(result.output.split())
    assert not (tmp_path / "dist" / "tiny").exists()
