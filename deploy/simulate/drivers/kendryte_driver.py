"""Run a .kmodel on the simulator of a Kendryte K230 that comes with nncase."""

from typing import Any

from kendryte_runtime import start_in_runtime

start_in_runtime()

import nncase  # noqa: E402  # needs what the line before set
from golden_job import GoldenJob  # noqa: E402


def main() -> None:
    """Load what was compiled and run it."""
    job = GoldenJob.read()
    simulator = nncase.Simulator()
    simulator.load_model((job.work / "network.kmodel").read_bytes())

    def compute(planes: Any) -> Any:
        simulator.set_input_tensor(0, nncase.RuntimeTensor.from_numpy(planes))
        simulator.run()
        return simulator.get_output_tensor(0).to_numpy()

    job.run(compute)


if __name__ == "__main__":
    main()
