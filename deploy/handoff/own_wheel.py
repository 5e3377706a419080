"""Pack this very package as a wheel, so that whoever has a bundle has the tool that made it.

A wheel is a zip of the packages and of a folder ``NAME-VERSION.dist-info``, whose ``RECORD`` lists
every file with its sha256. Names, requirements and entry points are those of the installation that
runs; no path of it, no time and no compiled file enters, so the same code gives the same bytes.
"""

import base64
import hashlib
import re
import shutil
from importlib import resources
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from calib.errors import UsageError
from calib.extras import pip_install
from calib.files import temporary_folder
from deploy import __version__
from deploy.handoff.bundle_zip import pack

_NAME = "esrdeploy"
_PACKAGES = ("calib", "deploy", "quant")
_NOT_SHIPPED = ("__pycache__", "*.pyc", ".*")
_WHEEL = f"""\
Wheel-Version: 1.0
Generator: {_NAME} ({__version__})
Root-Is-Purelib: true
Tag: py3-none-any
"""


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the package that runs into ``folder``; return its path.

    Raises:
        UsageError: the package runs without being installed, so its requirements are not known; or
            a file cannot be written.
    """
    try:
        installed = distribution(_NAME)
    except PackageNotFoundError as error:
        raise UsageError(
            f"{_NAME} runs without being installed, so a bundle cannot carry it; in its checkout "
            f"run: {pip_install()} ."
        ) from error
    path = folder / f"{_NAME}-{__version__}-py3-none-any.whl"
    with temporary_folder("wheel") as root:
        for package in _PACKAGES:
            with resources.as_file(resources.files(package)) as source:
                ignore = shutil.ignore_patterns(*_NOT_SHIPPED)
                try:
                    shutil.copytree(source, root / package, ignore=ignore)
                except shutil.Error as error:
                    _, unwritten, reason = error.args[0][0]
                    raise UsageError(f"cannot write {unwritten}: {reason}") from error
        _write_facts(root / f"{_NAME}-{__version__}.dist-info", installed)
        pack(root, path)
    return path


def _write_facts(folder: Path, installed: Distribution) -> None:
    """Write what pip reads: requirements, entry points, licence, and the list of all files."""
    folder.mkdir()
    metadata = installed.read_text("METADATA") or ""
    # An installation in place keeps the version that it had when it was installed.
    metadata = re.sub(
        r"^Version: .*$", f"Version: {__version__}", metadata, count=1, flags=re.MULTILINE
    )
    facts = {
        "METADATA": metadata,
        "WHEEL": _WHEEL,
        "entry_points.txt": installed.read_text("entry_points.txt") or "",
        "licenses/LICENSE": installed.read_text("licenses/LICENSE") or "",
    }
    for name, text in facts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8"))
    root = folder.parent
    lines = [_record_line(root, path) for path in sorted(root.rglob("*")) if path.is_file()]
    record = folder / "RECORD"
    lines.append(f"{record.relative_to(root).as_posix()},,")
    record.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def _record_line(root: Path, path: Path) -> str:
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")
    return f"{path.relative_to(root).as_posix()},sha256={digest},{len(content)}"
