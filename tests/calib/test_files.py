"""A file appears whole or not at all, whatever the disk says, and only files are read."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calib import files
from calib.archive import write_archive
from calib.errors import UsageError
from calib.files import read_whole, remove_temporary_folders, temporary_folder, write_atomically

FULL = OSError(errno.ENOSPC, "No space left on device")


def refusing(name: str, after: int) -> Callable[..., object]:
    """Return a function of ``os`` that the disk refuses after so many calls."""
    real, calls = getattr(os, name), 0

    def call(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            raise FULL
        return real(*args, **options)

    return call


@pytest.mark.parametrize("after", [0, 1], ids=["the file", "the folder"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(b"before")
    monkeypatch.setattr(files.os, "fsync", refusing("fsync", after))
    with pytest.raises(UsageError, match=r"table\.json: No space left on device"):
        write_atomically(path, b"after")
    assert path.read_bytes() == (b"after" if after else b"before")
    assert [*tmp_path.iterdir()] == [path]


def test_a_disk_that_fills_while_an_archive_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr("calib.archive.np.lib.format.write_array", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_archive(tmp_path / "x.npz", {"a": np.ones(3)}, compress=False)
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_vanishes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write_atomically(tmp_path / "gone" / "x", b"")


def test_devices_pipes_folders_and_loops_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path / "loop", tmp_path):
        with pytest.raises(OSError, match=r"regular|Too many|directory"):
            read_whole(path)


def test_temporary_folders_are_removed_by_whoever_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calib.files._TEMPORARY", set())  # not those of other tests' fixtures
    with temporary_folder("test") as folder:
        (folder / "file").touch()
        remove_temporary_folders()
        assert not folder.exists()
