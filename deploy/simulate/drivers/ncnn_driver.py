"""Run the golden inputs with ncnn's own engine, in float32 and int8."""

import ncnn
import numpy as np
from golden_job import GoldenJob
from numpy.typing import NDArray

HALF = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


def main() -> None:
    """Load one pair of files and run it, picture by picture."""
    job = GoldenJob.read()
    net = ncnn.Net()
    for option in HALF:
        setattr(net.opt, option, False)
    binary = job.model.with_suffix(".bin")
    if net.load_param(str(job.model)) != 0 or net.load_model(str(binary)) != 0:
        raise SystemExit(f"ncnn cannot load {job.model.name} and {binary.name}")

    def compute(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn = []
        for planes in pictures:  # Mat only borrows its memory, so it needs a name
            with net.create_extractor() as extractor:
                extractor.input("input", ncnn.Mat(planes).clone())
                status, output = extractor.extract("output")
                if status != 0:
                    raise SystemExit(f"ncnn cannot run {job.model.name}: status {status}")
                drawn.append(np.array(output, np.float32))
        return np.stack(drawn)

    job.run(compute)


if __name__ == "__main__":
    main()
