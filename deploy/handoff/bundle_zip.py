"""Pack a folder into a zip with the same bytes every time, and unpack a zip safely.

Entries come in the order of their names, with one date and mode, deflated as every unzip can read.
The same zlib gives the same bytes; another may pack the same contents otherwise, which is why a
bundle's manifest has the digest of every file.

Unpacking trusts nothing: an entry with an absolute path, a drive, a parent folder, a link, a name
that differs from another by case alone, a password, or too many or too large of them refuse the
whole zip, before anything is written.
"""

import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from calib.errors import UsageError, VerificationError
from calib.files import require_regular, temporary_folder, whole_file
from calib.zips import BROKEN_ZIP
from deploy.artifacts.files import MANIFEST_NAME

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can name
_LEVEL = 4  # 6, the default, takes 3.5 times as long and saves 5 % of a bundle
_UNIX = 3
_MODE = 0o644
_ENCRYPTED = 1
LARGEST_BYTES = 4 << 30
"""What a bundle may unpack to. All targets of x4plus together take 0.6 GB."""

MOST_ENTRIES = 10_000
"""What a bundle may hold. One for all vendors with 50 golden pictures holds 600."""

_LONGEST_STEP, _LONGEST_PATH = 200, 1000  # file systems end at 255 and 4096 bytes
_ZIP_START = b"PK"
_DRIVE = re.compile(r"[A-Za-z]:")


def require_place(path: Path) -> None:
    """Refuse a place where no zip can be written, before the work of making one.

    Raises:
        UsageError: a folder lies there, or what should be the folder it lies in is none.
    """
    if path.is_dir():
        raise UsageError(
            f"cannot write {path}: it is a folder; name the zip itself, such as "
            f"{path / 'handoff.zip'}"
        )
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"cannot write {path}: {above} is no folder; name another place")


def pack(folder: Path, path: Path) -> None:
    """Write every file under ``folder`` to the zip ``path``, replacing what was there at once.

    The folder of the zip is there.

    Raises:
        UsageError: the zip cannot be written.
    """
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    with whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            if files[name].is_file():
                _store(archive, name, files[name])


def _store(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = _UNIX
    entry.external_attr = (stat.S_IFREG | _MODE) << 16
    archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, _LEVEL)


def unpack(path: Path, folder: Path, only: str | None = None) -> None:
    """Unpack the zip ``path`` into ``folder``.

    Args:
        path: a zip, as :func:`pack` or anybody else made it.
        folder: an empty folder.
        only: name of the files to unpack, wherever in the zip they lie; ``None``: all.

    Raises:
        UsageError: there is no such file, or it is no zip.
        VerificationError: it is damaged, or holds an entry that is not safe.
    """
    try:
        require_regular(path)
        with zipfile.ZipFile(path) as archive:
            # Not is_dir(), which fails on an entry without a name.
            entries = [item for item in archive.infolist() if not item.filename.endswith("/")]
            _require_safe(path.name, entries)
            for entry in entries:
                target = folder / entry.filename
                if only not in {None, target.name}:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as written:
                    shutil.copyfileobj(source, written)
    except BROKEN_ZIP as error:
        with path.open("rb") as file:
            if not file.read(2) == _ZIP_START:
                raise UsageError(
                    f"{path} is no zip; expected a bundle of 'esrdeploy handoff'"
                ) from error
        raise VerificationError(f"{path.name} is no whole zip: {error}; fetch it again") from error
    except FileNotFoundError as error:
        raise UsageError(
            f"found no bundle {path}; name the zip that 'esrdeploy handoff' made, or a folder that "
            "it was unpacked to"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot unpack {path}: {error.strerror or error}") from error


def _require_safe(zip_name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise VerificationError(
            f"{zip_name} is not unpacked: it holds {len(entries)} entries, expected at most "
            f"{MOST_ENTRIES}"
        )
    folders = {
        folder.as_posix() for entry in entries for folder in PurePosixPath(entry.filename).parents
    }
    seen: set[str] = set()
    for entry in entries:
        # zipfile mends some names in `filename`; what is asked here is what the file says.
        problem = _problem(entry.orig_filename, entry)
        if entry.filename.casefold() in seen:
            problem = "a name that occurs twice, or twice but for case"
        if entry.filename in folders:
            problem = "the name of a folder that holds others"
        if problem is not None:
            shown = repr(entry.orig_filename[:_LONGEST_STEP])
            raise VerificationError(f"{zip_name} is not unpacked: the entry {shown} has {problem}")
        seen.add(entry.filename.casefold())
    total = sum(entry.file_size for entry in entries)
    if total > LARGEST_BYTES:
        raise VerificationError(
            f"{zip_name} is not unpacked: it would take {total} bytes, expected at most "
            f"{LARGEST_BYTES}"
        )


def _problem(name: str, entry: zipfile.ZipInfo) -> str | None:
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    problems = (
        (name.startswith(("/", "\\")) or _DRIVE.match(name), "an absolute path"),
        ("\\" in name or "\0" in name, "a character that no portable name has"),
        (".." in parts, "a path that leaves the folder"),
        ("" in parts or "." in parts, "an empty step in its path"),
        (kind not in {0, stat.S_IFREG}, "a link or a device in place of a file"),
        (entry.flag_bits & _ENCRYPTED, "a password"),
        (len(name) > _LONGEST_PATH or max(map(len, parts)) > _LONGEST_STEP, "too long a name"),
    )
    return next((problem for found, problem in problems if found), None)


@contextmanager
def opened(bundle: Path, only: str | None = None) -> Iterator[Path]:
    """Give the folder that holds an unpacked bundle, as long as it is used.

    Args:
        bundle: a zip, a folder that one was unpacked to, or a folder that holds a single
            ``*-handoff.zip``.
        only: name of the files of a zip that are asked for; ``None``: all.

    Raises:
        UsageError: there is no such file, not one alone, or it is no bundle.
        VerificationError: the zip is damaged, or not safe to unpack.
    """
    if bundle.is_dir() and not (bundle / MANIFEST_NAME).is_file():
        bundle = _only_zip(bundle)
    if bundle.is_dir():
        yield bundle
        return
    with temporary_folder("bundle") as temporary:
        unpack(bundle, temporary, only)
        yield _root(temporary, bundle.name)


def _only_zip(folder: Path) -> Path:
    found = sorted(folder.glob("*-handoff.zip"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UsageError(
            f"expected one *-handoff.zip in {folder}, found {names}; name the bundle itself, as in "
            "'esrdeploy verify --returned DIR BUNDLE.zip'"
        )
    return found[0]


def _root(folder: Path, name: str) -> Path:
    """Return where the manifest lies: whoever packs a zip anew may put a folder around all."""
    if (folder / MANIFEST_NAME).is_file():
        return folder
    inner = [path.parent for path in folder.glob(f"*/{MANIFEST_NAME}")]
    if len(inner) != 1:
        raise UsageError(
            f"{name} holds no {MANIFEST_NAME}, so it is no bundle; 'esrdeploy handoff' makes one"
        )
    return inner[0]
