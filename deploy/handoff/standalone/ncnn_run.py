"""Run the golden inputs, or others, with ncnn's own engine.

    python ncnn_run.py MODEL-int8.param --out returned [--inputs FOLDER]

It needs ncnn and numpy, and array_files.py beside it.
"""

import argparse
import sys
from pathlib import Path

import ncnn
import numpy as np

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import array_files  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "input"


def loaded(param: Path) -> ncnn.Net:
    """Load a pair of files, to be computed in float32."""
    net = ncnn.Net()
    for option in (
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
    ):
        setattr(net.opt, option, False)
    binary = param.with_suffix(".bin")
    array_files.require_file(param, "a .param file of this folder")
    array_files.require_file(binary, f"the weights of {param.name}")
    if net.load_param(str(param)) != 0 or net.load_model(str(binary)) != 0:
        array_files.refuse(f"ncnn cannot load {param} and {binary}")
    return net


def main() -> None:
    """Run every input through one pair of files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("param", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, default=GOLDEN)
    arguments = parser.parse_args()
    net = loaded(arguments.param)
    paths = array_files.input_files(arguments.inputs)
    out = array_files.made_folder(arguments.out)
    for path in paths:
        network_input = array_files.read_array(path)
        array_files.require_shape(network_input, path, GOLDEN)  # ncnn would crash
        drawn = []
        for planes in network_input:  # Mat only borrows its memory: it needs a name
            with array_files.refused_by_engine(f"run {path.name}"), net.create_extractor() as one:
                one.input("input", ncnn.Mat(planes).clone())
                status, output = one.extract("output")
            if status != 0:
                array_files.refuse(f"ncnn cannot run {path.name}: status {status}")
            drawn.append(np.array(output, np.float32))
        array_files.write_array(out / path.name, np.stack(drawn))
        print(path.stem)


if __name__ == "__main__":
    main()
