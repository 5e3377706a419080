"""Run the golden inputs on the simulator of Qualcomm's HTP that onnxruntime-qnn brings.

Without the number of a chip a float file fails with QNN_COMMON_ERROR_MEM_ALLOC (1002).
"""

import onnxruntime
import onnxruntime_qnn
from golden_job import GoldenJob

CHIP = {"soc_model": "57", "htp_arch": "75"}  # SM8650


def main() -> None:
    """Prepare one ONNX file for the chip and run it."""
    job = GoldenJob.read()
    name = onnxruntime_qnn.get_ep_name()
    onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise SystemExit(f"{name} finds no device here")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Else a layer that the chip does not take would run on the CPU, unnoticed.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings = {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), **CHIP}
    options.add_provider_for_devices(devices, settings)
    session = onnxruntime.InferenceSession(str(job.model), options)
    print("prepared", flush=True)
    job.run(lambda planes: session.run(["output"], {"input": planes})[0])


if __name__ == "__main__":
    main()
