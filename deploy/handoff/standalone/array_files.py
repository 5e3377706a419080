"""Read and write the arrays that a script beside this runs on, or refuse them in one line.

What was given and cannot be used is one line on stderr, and exit status 2. It needs numpy alone.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def refuse(problem: str) -> NoReturn:
    """Say in one line what cannot be used, and leave with status 2."""
    print(f"{Path(sys.argv[0]).name}: {' '.join(problem.split())}", file=sys.stderr)
    raise SystemExit(2)


def require_file(path: Path, expected: str) -> None:
    """Refuse a path at which no file lies, such as a folder."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        refuse(f"found {found} at {path}; expected {expected}")


def input_files(folder: Path) -> list[Path]:
    """Return the ``.npy`` files of a folder in the order of their names, at least one."""
    found = sorted(folder.glob("*.npy"))
    if not found:
        refuse(f"found no .npy file in {folder}; expected inputs of the network")
    return found


def read_array(path: Path) -> Array:
    """Read the array of a ``.npy`` file."""
    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        refuse(f"cannot read {path}: {error.strerror or error}")
    except (ValueError, EOFError, BadZipFile):
        found = None
    if not isinstance(found, np.ndarray):
        refuse(f"{path} is no .npy file of one array")
    return found


def made_folder(path: Path) -> Path:
    """Make a folder to write to, where it is not there yet, and return it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse(f"cannot write to the folder {path}: {error.strerror or error}")
    return path


def write_array(path: Path, array: Array) -> None:
    """Write an array as a ``.npy`` file."""
    try:
        np.save(path, array)
    except OSError as error:
        refuse(f"cannot write {path}: {error.strerror or error}")


def require_shape(array: Array, path: Path, golden: Path) -> None:
    """Refuse an input of another shape than the golden inputs have.

    Args:
        array: the input.
        path: where it comes from.
        golden: folder of the golden inputs.
    """
    expected = read_array(input_files(golden)[0])
    if array.shape != expected.shape or array.dtype != expected.dtype:
        found, needed = (f"{one.dtype} {list(one.shape)}" for one in (array, expected))
        refuse(f"{path} holds {found}; expected {needed}, as in {golden}")


@contextmanager
def refused_by_engine(step: str) -> Iterator[None]:
    """Say in one line what an engine raises at a step, such as ``load MODEL``."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # each engine has classes of its own
        refuse(f"cannot {step}: {error}")
