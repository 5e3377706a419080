from pathlib import Path

import pytest

from calib.errors import UsageError
from calib.files import write_atomically
from deploy.artifacts.files import artifact_of, write_record


def test_a_record_is_described_by_what_lies_on_disk(tmp_path: Path) -> None:
    written = write_record(tmp_path, "parity.json", b"{}\n")
    assert written == artifact_of(tmp_path / "parity.json")
    assert written.size_bytes == 3


def test_a_failed_write_leaves_neither_file_nor_fragment(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        write_atomically(tmp_path / "taken", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]
