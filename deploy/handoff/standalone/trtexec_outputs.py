"""Turn the JSON files that trtexec exports into what ``esrdeploy verify --returned`` takes.

    python trtexec_outputs.py OUT/*.json --out RETURNED

trtexec --exportOutput writes a list of tensors with their dimensions and values; each file
becomes RETURNED/NAME.npy, float32. It needs numpy alone.
"""

import argparse
import json
from pathlib import Path

import numpy as np


def main() -> None:
    """Convert the files named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in arguments.files:
        tensors = {tensor["name"]: tensor for tensor in json.loads(path.read_text())}
        if "output" not in tensors:
            raise SystemExit(f"{path} holds the tensors {sorted(tensors)}, expected 'output'")
        shape = [int(length) for length in tensors["output"]["dimensions"].split("x")]
        values = np.array(tensors["output"]["values"], np.float32)
        np.save(arguments.out / f"{path.stem}.npy", values.reshape(shape))


if __name__ == "__main__":
    main()
