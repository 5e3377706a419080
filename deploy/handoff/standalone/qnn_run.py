"""Run the golden inputs, or others, with onnxruntime, on Qualcomm's QNN execution provider.

    python qnn_run.py MODEL.onnx --out returned [--inputs FOLDER]
    python qnn_run.py MODEL.onnx --backend CPU --out returned-cpu        without a chip

It needs numpy, onnxruntime 1.24.2 or later and onnxruntime-qnn 2 or later (Python 3.11); for the
CPU, any onnxruntime; and array_files.py beside it. On x86-64 Linux the package brings a simulator
of the chip instead of its driver: minutes a picture, and --soc-model and --htp-arch say which chip
(57 and 75: SM8650).
"""

import argparse
import sys
from pathlib import Path

import onnxruntime

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import array_files  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle

HERE = Path(__file__).resolve().parent


def on_cpu(model: Path) -> onnxruntime.InferenceSession:
    """Load a file into onnxruntime's own kernels."""
    options = onnxruntime.SessionOptions()
    # Else 8-bit products saturate at 16 bits on x86-64 CPUs without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def on_chip(model: Path, settings: dict[str, str]) -> onnxruntime.InferenceSession:
    """Load a file into the provider, which since version 2 is a plugin that is registered here."""
    try:
        import onnxruntime_qnn  # noqa: PLC0415  # the CPU does without
    except ImportError as error:
        array_files.refuse(
            f"onnxruntime-qnn 2 or later cannot be loaded ({error}); run '{sys.executable} -m pip "
            "install onnxruntime onnxruntime-qnn', on Python 3.11 or later; or give --backend CPU"
        )
    name = onnxruntime_qnn.get_ep_name()
    onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        array_files.refuse(f"{name} finds no device here; give --backend CPU")
    options = onnxruntime.SessionOptions()
    # Else a layer that the chip does not take would run on the CPU, unnoticed.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings = {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), **settings}
    options.add_provider_for_devices(devices, settings)
    return onnxruntime.InferenceSession(str(model), options)


def main() -> None:
    """Run every golden input through one QDQ file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--backend", help="CPU, or a libQnnHtp.so or QnnHtp.dll other than the package's"
    )
    parser.add_argument("--soc-model", help="number of the chip, where that is not the one here")
    parser.add_argument("--htp-arch", help="version of its tensor processor: 68, 69, 73, 75 ...")
    parser.add_argument("--first", type=int, help="run only so many inputs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, default=HERE.parent / "golden" / "input")
    given = parser.parse_args()
    array_files.require_file(given.model, "an .onnx file of ../models")
    with array_files.refused_by_engine(f"load {given.model}"):
        if given.backend == "CPU":
            session = on_cpu(given.model)
        else:
            settings = {
                "backend_path": given.backend,
                "soc_model": given.soc_model,
                "htp_arch": given.htp_arch,
            }
            session = on_chip(given.model, {key: value for key, value in settings.items() if value})
    paths = array_files.input_files(given.inputs)
    out = array_files.made_folder(given.out)
    for path in paths[: given.first]:
        network_input = array_files.read_array(path)
        with array_files.refused_by_engine(f"run {path.name}"):
            (output,) = session.run(["output"], {"input": network_input})
        array_files.write_array(out / path.name, output)
        print(path.stem, flush=True)


if __name__ == "__main__":
    main()
