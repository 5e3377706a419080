"""Run the golden inputs, or others, with OpenVINO.

    python openvino_run.py MODEL-int8.xml --out returned [--device CPU] [--inputs FOLDER]

It needs openvino and numpy, and array_files.py beside it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import openvino

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import array_files  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run every input through one IR."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("xml", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--inputs", type=Path, default=HERE.parent / "golden" / "input")
    arguments = parser.parse_args()
    xml, device = arguments.xml, arguments.device
    array_files.require_file(xml, "an .xml file of this folder")
    # Else bf16 or fp16 where the device has it. An NPU has nothing but fp16, and no such setting.
    precision = {} if device.startswith("NPU") else {"INFERENCE_PRECISION_HINT": "f32"}
    with array_files.refused_by_engine(f"load {xml} on {device}"):
        compiled = openvino.Core().compile_model(str(xml), device, precision)
    paths = array_files.input_files(arguments.inputs)
    out = array_files.made_folder(arguments.out)
    for path in paths:
        network_input = array_files.read_array(path)
        with array_files.refused_by_engine(f"run {path.name}"):
            output = np.array(compiled(network_input)[0])
        array_files.write_array(out / path.name, output)
        print(path.stem)


if __name__ == "__main__":
    main()
