"""One build at a time is made in a folder, and what an unfinished one leaves is told or gone."""

from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.artifacts.staging import publish, staged

NAMES = ("calibration.json",)


def resumed(_: Path) -> tuple[str, ...]:
    return NAMES


def make(
    folder: Path,
    *files: str,
    error: BaseException | None = None,
    told: list[str] | None = None,
) -> list[str]:
    """Make files in a stage, end there if an error is given, and return what was told."""
    told = [] if told is None else told
    with staged(folder, (), resumed, told.append) as stage:
        for name in files:
            (stage / name).write_text(name)
        if error is not None:
            raise error
        publish(stage, files, instead=True)
    return told


def test_what_is_whole_takes_its_place_and_leaves_no_stage(tmp_path: Path) -> None:
    assert make(tmp_path, "manifest.json", *NAMES) == []
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", *NAMES}


@pytest.mark.parametrize("error", [UsageError("no"), KeyboardInterrupt()], ids=repr)
def test_what_spares_work_is_kept_and_told(tmp_path: Path, error: BaseException) -> None:
    told: list[str] = []
    with pytest.raises(type(error)):
        make(tmp_path, *NAMES, error=error, told=told)
    (line,) = told
    assert line.startswith(f"{tmp_path / '.unfinished'} keeps what was done so far")
    with staged(tmp_path, (), resumed, told.append) as again:
        assert (again / NAMES[0]).is_file()


@pytest.mark.parametrize("error", [UsageError("no"), KeyboardInterrupt()], ids=repr)
def test_what_spares_none_is_gone(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        make(tmp_path, "model-fp32.onnx", error=error)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_within_is_not_taken_for_one_of_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(tmp_path, error=FileNotFoundError("elsewhere"))


def test_two_builds_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    with staged(tmp_path, (), resumed, print) as stage:
        (stage / NAMES[0]).write_text("mine")
        with pytest.raises(UsageError, match=r"another build is being made in .*--name"):
            make(tmp_path, *NAMES)
        assert (stage / NAMES[0]).read_text() == "mine"
    make(tmp_path, *NAMES)
