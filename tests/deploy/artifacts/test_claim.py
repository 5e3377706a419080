"""A folder is claimed where files can be written, and not left behind empty."""

from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.artifacts.claim import claimed


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("a file")
    with (
        pytest.raises(UsageError, match="choose another with --out"),
        claimed(tmp_path / "dist" / "x4plus"),
    ):
        raise AssertionError("claimed")


def test_folders_that_stay_empty_are_removed_and_others_kept(tmp_path: Path) -> None:
    with claimed(tmp_path / "dist" / "tiny"):
        pass
    assert [*tmp_path.iterdir()] == []
    with claimed(tmp_path / "dist" / "tiny") as folder:
        (folder / "kept").touch()
    assert [path.name for path in (tmp_path / "dist" / "tiny").iterdir()] == ["kept"]
    (tmp_path / "own").mkdir()
    with claimed(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir()
