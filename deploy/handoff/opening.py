"""A bundle as it came in, zip or folder, its files in a folder out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from calib.errors import UsageError, VerificationError
from deploy.artifacts import MANIFEST_NAME
from deploy.handoff.bundle import unpack


@contextmanager
def opened(bundle: Path) -> Iterator[Path]:
    """Give the folder that holds an unpacked bundle, as long as it is used.

    Args:
        bundle: a zip, a folder that one was unpacked to, or a folder that holds a single
            ``*-handoff.zip``.

    Raises:
        UsageError: there is no such file, or not one alone.
        VerificationError: the zip is damaged, not safe to unpack, or no bundle.
    """
    if bundle.is_dir() and not (bundle / MANIFEST_NAME).is_file():
        bundle = _only_zip(bundle)
    if bundle.is_dir():
        yield bundle
        return
    with TemporaryDirectory(prefix="esrdeploy-bundle-") as temporary:
        unpack(bundle, Path(temporary))
        yield _root(Path(temporary), bundle.name)


def _only_zip(folder: Path) -> Path:
    found = sorted(folder.glob("*-handoff.zip"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UsageError(
            f"expected one *-handoff.zip in {folder}, found {names}; name the bundle itself"
        )
    return found[0]


def _root(folder: Path, name: str) -> Path:
    """Return where the manifest lies: whoever packs a zip anew may put a folder around all."""
    if (folder / MANIFEST_NAME).is_file():
        return folder
    inner = [path.parent for path in folder.glob(f"*/{MANIFEST_NAME}")]
    if len(inner) != 1:
        raise VerificationError(
            f"{name} holds no {MANIFEST_NAME}, so it is no bundle; 'esrdeploy handoff' makes one"
        )
    return inner[0]
