"""Turn the JSON files that trtexec exports into what ``esrdeploy verify --returned`` takes.

    python trtexec_outputs.py OUT/*.json --out RETURNED

trtexec --exportOutput writes a list of tensors with their dimensions and values; each file
becomes RETURNED/NAME.npy, float32. It needs numpy, and array_files.py beside it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import array_files  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle


def exported_output(path: Path) -> array_files.Array:
    """Read the tensor ``output`` of a file that trtexec exported, float32."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        tensors = {tensor["name"]: tensor for tensor in listed}
    except OSError as error:
        array_files.refuse(f"cannot read {path}: {error.strerror or error}")
    except (ValueError, TypeError, LookupError):
        array_files.refuse(f"{path} is no list of tensors that trtexec --exportOutput wrote")
    if "output" not in tensors:
        array_files.refuse(f"{path} holds the tensors {sorted(tensors)}, expected 'output'")
    try:
        shape = [int(length) for length in tensors["output"]["dimensions"].split("x")]
        return np.array(tensors["output"]["values"], np.float32).reshape(shape)
    except (ValueError, TypeError, LookupError, AttributeError):
        array_files.refuse(f"{path}: the values of 'output' do not fit its dimensions")


def main() -> None:
    """Convert the files named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    outputs = {path.stem: exported_output(path) for path in arguments.files}
    out = array_files.made_folder(arguments.out)
    for name, output in outputs.items():
        array_files.write_array(out / f"{name}.npy", output)


if __name__ == "__main__":
    main()
