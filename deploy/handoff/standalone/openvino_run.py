"""Run the golden inputs with OpenVINO.

    python openvino_run.py MODEL-int8.xml --out returned [--device CPU]

It needs openvino and numpy.
"""

import argparse
from pathlib import Path

import numpy as np
import openvino

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run every golden input through one IR."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("xml", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="CPU")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Else bf16 or fp16 where the device has it. An NPU has nothing but fp16, and no such setting.
    precision = {} if arguments.device.startswith("NPU") else {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(arguments.xml), arguments.device, precision)
    for path in sorted((HERE.parent / "golden" / "input").glob("*.npy")):
        np.save(arguments.out / path.name, np.array(compiled(np.load(path))[0]))
        print(path.stem)


if __name__ == "__main__":
    main()
