"""Build the network with rknn-toolkit2 and run the golden inputs on its simulator or a device.

    python rknn_run.py --route quantize --out OUT     rknn-toolkit2 quantizes the float ONNX
    python rknn_run.py --route qdq --out OUT          our QDQ ONNX: 8 bits on every activation
    python rknn_run.py --route qdq-mixed --out OUT    our QDQ ONNX: additions and ends in fp16
    python rknn_run.py --route float --out OUT        fp16, nothing quantized

Leaves OUT/MODEL-ROUTE-PLATFORM.rknn and OUT/returned/NAME.npy, which is what
``esrdeploy verify --returned OUT/returned BUNDLE`` takes. It needs what requirements.txt beside
it names, array_files.py beside it, and no esrdeploy. --inputs FOLDER runs other inputs than the
golden ones: uint8 [1,H,W,C] as those, or float32 [1,C,H,W] in [0,1].
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rknn.api import RKNN

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import array_files  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle

HERE = Path(__file__).resolve().parent


def _require(status: int, step: str) -> None:
    if status != 0:
        array_files.refuse(f"rknn-toolkit2 failed to {step}: status {status}")


def _as_bytes(array: array_files.Array) -> array_files.Array:
    """Return an input as the built model takes it, uint8 [1, H, W, C]."""
    if array.dtype == np.uint8:
        return array
    return np.rint(array * np.float32(255)).astype(np.uint8).transpose(0, 2, 3, 1)


def _written_dataset(out: Path) -> Path:
    """Write the list of calibration pictures that the toolkit quantizes on."""
    pictures = sorted((HERE.parent / "calibration" / "images").glob("*.png"))
    if not pictures:
        array_files.refuse(
            "the route 'quantize' needs calibration pictures in ../calibration/images, which do "
            "not come with this bundle: make them with 'python "
            "../calibration/prepare_calibration.py --photos FOLDER', or go another --route"
        )
    path = out / "dataset.txt"
    path.write_text("".join(f"{picture}\n" for picture in pictures))
    return path


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
    parser.add_argument("--inputs", type=Path, default=HERE / "golden")
    arguments = parser.parse_args()
    settings = json.loads((HERE / "settings.json").read_text())
    if arguments.route not in settings["routes"]:
        array_files.refuse(f"this bundle has the routes {', '.join(settings['routes'])}")
    model = HERE / settings["routes"][arguments.route]
    array_files.require_file(model, f"the ONNX file of the route {arguments.route}")
    inputs = array_files.input_files(arguments.inputs)
    returned = array_files.made_folder(arguments.out / "returned")
    dataset = _written_dataset(arguments.out) if arguments.route == "quantize" else None

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
    listed = None if dataset is None else str(dataset)
    _require(rknn.build(do_quantization=dataset is not None, dataset=listed), "build")
    name = f"{settings['model']}-{arguments.route}-{arguments.platform}.rknn"
    _require(rknn.export_rknn(str(arguments.out / name)), f"export {name}")
    _require(rknn.init_runtime(target=arguments.device), "start the runtime")
    for path in inputs:
        given = array_files.read_array(path)
        if given.ndim != 4:
            array_files.refuse(f"{path} holds {list(given.shape)}; expected uint8 [1,H,W,C]")
        network_input = _as_bytes(given)
        with array_files.refused_by_engine(f"run {path.name}"):
            (output,) = rknn.inference([network_input], data_format=["nhwc"])
        array_files.write_array(returned / path.name, output)
        print(f"{path.stem}: {output.dtype}{list(output.shape)}")
    rknn.release()


if __name__ == "__main__":
    main()
