"""Make a build beside the one before it, and put it in its place when it is whole.

A build is made in ``.unfinished`` within its folder. Whoever interrupts it, and whatever refuses
it, leaves the build before it as it was; the next run takes up the calibration from there.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from calib.errors import EsrdeployError, UsageError
from deploy.artifacts.files import (
    MANIFEST_NAME,
    REPORT_NAME,
    SIGNATURE_NAME,
    UNFINISHED_NAME,
    build_files,
)

Tell = Callable[[str], None]
_LOCK_NAME = "lock"


@contextmanager
def staged(
    folder: Path, kept: Iterable[str], resumed: Callable[[Path], Iterable[str]], tell: Tell
) -> Iterator[Path]:
    """Give the folder that a build is made in, with files of the build before it.

    One build at a time is made in a folder. Where one is refused or interrupted, what is left is
    told; where nothing would spare the next one work, nothing is left.

    Args:
        folder: of the build.
        kept: names of files that the new build has as they are.
        resumed: names the files of a folder that a new build goes on from. They are taken along
            where no interrupted run left newer ones.
        tell: takes one line for the user.

    Raises:
        UsageError: the folder cannot be made, not be written to, or another build is made there.
    """
    stage = folder / UNFINISHED_NAME
    lock = FileLock(stage / _LOCK_NAME, timeout=0)
    try:
        stage.mkdir(exist_ok=True)
        lock.acquire()
        _fill(stage, folder, kept, resumed(folder))
    except Timeout:
        raise UsageError(
            f"another build is being made in {folder}; wait for it, or name this one with --name"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write to {stage}: {error.strerror or error}") from error
    try:
        yield stage
    except (EsrdeployError, KeyboardInterrupt):
        _leave(stage, resumed(stage), tell)
        raise
    finally:
        lock.release()


def _fill(stage: Path, folder: Path, kept: Iterable[str], resumed: Iterable[str]) -> None:
    for name in kept:
        (stage / name).unlink(missing_ok=True)
        _link(folder / name, stage / name)
    for name in resumed:
        if (folder / name).is_file() and not (stage / name).exists():
            _link(folder / name, stage / name)


def _leave(stage: Path, resumed: Iterable[str], tell: Tell) -> None:
    if any((stage / name).is_file() for name in resumed):
        tell(
            f"{stage} keeps what was done so far, such as the calibration: the next build of "
            f"{stage.parent.name} on the same pictures goes on from there; to start afresh, "
            "remove it"
        )
    else:
        shutil.rmtree(stage, ignore_errors=True)


def publish(stage: Path, named: Collection[str], *, instead: bool) -> None:
    """Move what was made into the folder of the build, the manifest last.

    Args:
        stage: where it was made.
        named: names of the files that belong to the build, the manifest and report among them.
        instead: of what the folder holds: files of a build's kind that are not named are removed
            from it.

    Raises:
        UsageError: a file cannot be moved.
    """
    folder = stage.parent
    try:
        for name in {MANIFEST_NAME, REPORT_NAME, SIGNATURE_NAME} if instead else ():
            (folder / name).unlink(missing_ok=True)
        for name in sorted(named, key=lambda name: (name == MANIFEST_NAME, name)):
            (stage / name).replace(folder / name)
        for name in {*build_files(folder)} - {*named} if instead else ():
            (folder / name).unlink()
        shutil.rmtree(stage)
    except OSError as error:
        raise UsageError(f"cannot finish {folder}: {error.strerror or error}") from error


def _link(source: Path, target: Path) -> None:
    """Let ``target`` be the file ``source``, without a copy where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
