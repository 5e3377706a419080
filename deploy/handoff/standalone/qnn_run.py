"""Run the golden inputs with onnxruntime, on Qualcomm's QNN execution provider.

    python qnn_run.py MODEL.onnx --backend libQnnHtp.so --out returned
    python qnn_run.py MODEL.onnx --backend CPU --out returned-cpu        without a chip

It needs onnxruntime-qnn and numpy; for the CPU, any onnxruntime.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
PROVIDER = "QNNExecutionProvider"


def main() -> None:
    """Run every golden input through one QDQ file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--backend", required=True, help="libQnnHtp.so, QnnHtp.dll or CPU")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    offered = onnxruntime.get_available_providers()
    if arguments.backend != "CPU" and PROVIDER not in offered:
        parser.error(
            f"this onnxruntime {onnxruntime.__version__} has no {PROVIDER}, only "
            f"{', '.join(offered)}; run 'pip uninstall onnxruntime' and 'pip install "
            "onnxruntime-qnn', on a machine with a Qualcomm chip; or give --backend CPU"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = onnxruntime.SessionOptions()
    if arguments.backend == "CPU":
        # Else 8-bit products saturate at 16 bits on x86-64 CPUs without VNNI.
        options.add_session_config_entry("session.x64quantprecision", "1")
        provider, settings = "CPUExecutionProvider", {}
    else:
        # Else a layer that the chip does not take would run on the CPU, unnoticed.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        provider, settings = PROVIDER, {"backend_path": arguments.backend}
    session = onnxruntime.InferenceSession(
        str(arguments.model), options, providers=[provider], provider_options=[settings]
    )
    for path in sorted((HERE.parent / "golden" / "input").glob("*.npy")):
        (output,) = session.run(["output"], {"input": np.load(path)})
        np.save(arguments.out / path.name, output)
        print(path.stem)


if __name__ == "__main__":
    main()
