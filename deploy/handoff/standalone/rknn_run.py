"""Build the network with rknn-toolkit2 and run the golden inputs on its simulator or a device.

    python rknn_run.py --route quantize --out OUT     rknn-toolkit2 quantizes the float ONNX
    python rknn_run.py --route qdq --out OUT          our QDQ ONNX: 8 bits on every activation
    python rknn_run.py --route qdq-mixed --out OUT    our QDQ ONNX: additions and ends in fp16
    python rknn_run.py --route float --out OUT        fp16, nothing quantized

Leaves OUT/MODEL-ROUTE-PLATFORM.rknn and OUT/returned/NAME.npy, which is what
``esrdeploy verify --returned OUT/returned BUNDLE`` takes. It needs what requirements.txt beside
it names, and no esrdeploy.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rknn.api import RKNN

HERE = Path(__file__).resolve().parent


def _require(status: int, step: str) -> None:
    if status != 0:
        raise SystemExit(f"rknn-toolkit2 failed to {step}: status {status}")


def main() -> None:
    """Build, export, run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--route", choices=("quantize", "qdq", "qdq-mixed", "float"), default="quantize"
    )
    parser.add_argument("--platform", default="rk3588", help="chip to build for")
    parser.add_argument("--device", help="run on a connected board of this kind, not simulated")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    settings = json.loads((HERE / "settings.json").read_text())
    if arguments.route not in settings["routes"]:
        raise SystemExit(f"this bundle has the routes {', '.join(settings['routes'])}")
    model = HERE / settings["routes"][arguments.route]
    dataset = HERE / "dataset.txt"
    quantize = arguments.route == "quantize"
    if quantize and not (HERE / dataset.read_text().splitlines()[0]).is_file():
        raise SystemExit(
            "the calibration pictures are not there: make them first with "
            "'python ../calibration/prepare_calibration.py --photos FOLDER'"
        )

    rknn = RKNN(verbose=False)
    # Input 0..255 becomes (x - mean) / std = x / 255, which is what the network expects.
    status = rknn.config(
        mean_values=[[0] * settings["channels"]],
        std_values=[[255] * settings["channels"]],
        target_platform=arguments.platform,
        quantized_dtype="w8a8",
        quantized_algorithm="normal",
        quantized_method="channel",
    )
    _require(status, "take the configuration")
    _require(rknn.load_onnx(str(model)), f"load {model.name}")
    _require(
        rknn.build(do_quantization=quantize, dataset=str(dataset) if quantize else None), "build"
    )
    (arguments.out / "returned").mkdir(parents=True, exist_ok=True)
    name = f"{settings['model']}-{arguments.route}-{arguments.platform}.rknn"
    _require(rknn.export_rknn(str(arguments.out / name)), f"export {name}")
    _require(rknn.init_runtime(target=arguments.device), "start the runtime")
    for path in sorted((HERE / "golden").glob("*.npy")):
        (output,) = rknn.inference([np.load(path)], data_format=["nhwc"])
        np.save(arguments.out / "returned" / path.name, output)
        print(f"{path.stem}: {output.dtype}{list(output.shape)}")
    rknn.release()


if __name__ == "__main__":
    main()
