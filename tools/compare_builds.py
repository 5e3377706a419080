"""Compare the ONNX files of two build folders byte by byte.

    python tools/compare_builds.py BEFORE AFTER

Both folders are searched for ``*.onnx``; files belong together by their path below the folder.
Exit status 0: every file has its counterpart and equals it. 1: one does not; where two differ, the
tensors and nodes that do are named. 2: there is nothing to compare.
"""

import argparse
import sys
from pathlib import Path

import onnx

from calib.digest import sha256_file
from deploy.verify.reproduce import model_differences

_SHOWN = 5


def compared(before: Path, after: Path) -> list[tuple[str, list[str]]]:
    """Return each ONNX file of either folder with what differs; nothing for equal files."""
    names = {
        path.relative_to(folder).as_posix()
        for folder in (before, after)
        for path in folder.rglob("*.onnx")
    }
    return [(name, _differences(before / name, after / name)) for name in sorted(names)]


def _differences(before: Path, after: Path) -> list[str]:
    for path in (before, after):
        if not path.is_file():
            return [f"is missing from {path.parent}"]
    if sha256_file(before) == sha256_file(after):
        return []
    return model_differences(onnx.load(before), onnx.load(after))


def main() -> int:
    """Print one line per file and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    files = compared(arguments.before, arguments.after)
    for name, differences in files:
        size_mb = (arguments.after / name).stat().st_size / 1e6 if not differences else 0.0
        print(f"differs  {name}" if differences else f"equal    {name}  {size_mb:.2f} MB")
        for line in differences[:_SHOWN]:
            print(f"         {line}")
        if len(differences) > _SHOWN:
            print(f"         and {len(differences) - _SHOWN} more")
    differing = sum(bool(differences) for _, differences in files)
    print(f"{len(files)} files compared, {differing} differ")
    if not files:
        return 2
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
