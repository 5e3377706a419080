"""Find a Python of the version that a toolchain needs.

Looked at are the one of the user's, the running one, those on PATH, and those of pyenv and uv. Each
is asked its version: a name on PATH may be a shim of a version that is not there.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from calib.errors import UsageError

_ASKED = "import sys; print('%d.%d' % sys.version_info[:2])"
_LIMIT_S = 20.0


def find_python(versions: Sequence[str], asked: Sequence[Path] = ()) -> Path:
    """Return the interpreter of the first version that is here.

    Args:
        versions: such as ``3.11``, best first.
        asked: interpreters that the user names; the first of such a version is taken before others.

    Raises:
        UsageError: there is none.
    """
    for path in asked:
        if version_of(path) in versions:
            return path
    for version in versions:
        for path in _candidates(version):
            if version_of(path) == version:
                return path
    raise UsageError(
        f"found no Python {' or '.join(versions)}; install one, or name it with --python PATH"
    )


def version_of(python: Path) -> str | None:
    """Return the version of an interpreter, such as ``3.11``; ``None`` where it does not answer."""
    try:
        answer = subprocess.run(  # noqa: S603  # an interpreter of this machine
            [python, "-c", _ASKED],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _candidates(version: str) -> Iterator[Path]:
    """Yield where an interpreter of a version may be."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield Path(sys.executable)
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        path = Path(folder) / f"python{version}"
        if path.is_file():
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    yield from sorted(data.glob(f"uv/python/cpython-{version}.*/bin/python{version}"))
