"""Run the golden inputs through a graph lowered for a Sophgo BM1684X, in TPU-MLIR's runner.

The .bmodel on TPU-MLIR's C model gives the same bits, in many times the time.
"""

import numpy as np
from golden_job import GoldenJob
from numpy.typing import NDArray
from sophgo_tools import call


def main() -> None:
    """Run what was lowered, picture by picture."""
    job = GoldenJob.read()

    def compute(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        np.savez(job.work / "in.npz", input=planes)
        call(
            job.work, "model_runner.py", "--input", "in.npz", "--model", "lowered.mlir",
            "--output", "out.npz",
        )  # fmt: skip
        with np.load(job.work / "out.npz") as results:
            found: NDArray[np.float32] = results[results.files[-1]]
        return found

    job.run(compute)


if __name__ == "__main__":
    main()
