"""Make a build beside the one before it, and put it in its place when it is whole.

A build is made in ``.unfinished`` within its folder. Whoever interrupts it, and whatever refuses
it, leaves the build before it as it was; the next run takes up the calibration from there.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from calib.errors import EsrdeployError, UsageError
from deploy.artifacts.files import MANIFEST_NAME, REPORT_NAME, UNFINISHED_NAME, build_files

Tell = Callable[[str], None]


def open_stage(folder: Path, kept: Iterable[str], resumed: Iterable[str]) -> Path:
    """Return the folder that a build is made in, with files of the build before it.

    Args:
        folder: of the build.
        kept: names of files that the new build has as they are.
        resumed: names of files that the new build goes on from, where they are there and no
            interrupted run left newer ones.

    Raises:
        UsageError: the folder cannot be made, or not be written to.
    """
    stage = folder / UNFINISHED_NAME
    try:
        stage.mkdir(exist_ok=True)
        for name in kept:
            (stage / name).unlink(missing_ok=True)
            _link(folder / name, stage / name)
        for name in resumed:
            if (folder / name).is_file() and not (stage / name).exists():
                _link(folder / name, stage / name)
    except OSError as error:
        raise UsageError(f"cannot write to {stage}: {error.strerror or error}") from error
    return stage


@contextmanager
def unfinished(stage: Path, resumed: Callable[[Path], Iterable[str]], tell: Tell) -> Iterator[None]:
    """Tell, where what is made in a stage is refused or interrupted, what is left there and why.

    Args:
        stage: where it is made.
        resumed: names the files of a folder that a new build goes on from. Without any, nothing is
            left.
        tell: takes one line for the user.
    """
    try:
        yield
    except (EsrdeployError, KeyboardInterrupt):
        if any((stage / name).is_file() for name in resumed(stage)):
            tell(
                f"{stage} keeps what was done so far, such as the calibration: the next build of "
                f"{stage.parent.name} on the same pictures goes on from there; to start afresh, "
                "remove it"
            )
        else:
            shutil.rmtree(stage, ignore_errors=True)
        raise


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
        for name in {MANIFEST_NAME, REPORT_NAME} if instead else ():
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
