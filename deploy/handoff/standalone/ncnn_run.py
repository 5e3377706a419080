"""Run the golden inputs with ncnn's own engine.

    python ncnn_run.py MODEL-int8.param --out returned

It needs ncnn and numpy.
"""

import argparse
from pathlib import Path

import ncnn
import numpy as np

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run every golden input through one pair of files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("param", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    net = ncnn.Net()
    for option in (
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
    ):
        setattr(net.opt, option, False)
    binary = arguments.param.with_suffix(".bin")
    if net.load_param(str(arguments.param)) != 0 or net.load_model(str(binary)) != 0:
        raise SystemExit(f"ncnn cannot load {arguments.param} and {binary}")
    for path in sorted((HERE.parent / "golden" / "input").glob("*.npy")):
        drawn = []
        for planes in np.load(path):  # Mat only borrows its memory, so it needs a name
            with net.create_extractor() as extractor:
                extractor.input("input", ncnn.Mat(planes).clone())
                status, output = extractor.extract("output")
                if status != 0:
                    raise SystemExit(f"ncnn cannot run {path.name}: status {status}")
                drawn.append(np.array(output, np.float32))
        np.save(arguments.out / path.name, np.stack(drawn))
        print(path.stem)


if __name__ == "__main__":
    main()
