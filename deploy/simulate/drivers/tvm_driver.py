"""Compile an ONNX file with TVM for this machine's CPU, through LLVM, and run the golden inputs."""

from typing import Any

import numpy as np
import onnx
import tvm
from golden_job import GoldenJob
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline as cpu
from tvm.relax.frontend.onnx import from_onnx
from tvm.s_tir.dlight import ApplyDefaultSchedule
from tvm.target.codegen import llvm_get_system_cpu
from tvm_schedules import RULES


def pipeline(target: Any) -> Any:
    """Return TVM's own passes for CPUs, with our schedules behind the fusion of operators."""
    return tvm.transform.Sequential(
        [
            *cpu.library_dispatch_passes(target),
            *cpu.legalize_passes(target),
            ApplyDefaultSchedule(*RULES),
            *cpu.dataflow_lower_passes(target),
            *cpu.finalize_passes(target),
        ]
    )


def main() -> None:
    """Compile one file and run it."""
    job = GoldenJob.read()
    target = tvm.target.Target({"kind": "llvm", "mcpu": llvm_get_system_cpu()})
    module = from_onnx(onnx.load(job.model))
    with target:
        built = relax.build(module, target, relax_pipeline=pipeline(target))
    machine = relax.VirtualMachine(built, tvm.cpu())
    print("compiled", flush=True)
    job.run(lambda planes: np.asarray(machine["main"](tvm.runtime.tensor(planes)).numpy()))


if __name__ == "__main__":
    main()
