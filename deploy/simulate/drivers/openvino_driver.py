"""Run the golden inputs with OpenVINO's CPU plugin, in float32 where the IR is."""

import openvino
from golden_job import GoldenJob


def main() -> None:
    """Compile one IR and run it."""
    job = GoldenJob.read()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(job.model), "CPU", settings)
    job.run(lambda planes: compiled(planes)[0])


if __name__ == "__main__":
    main()
