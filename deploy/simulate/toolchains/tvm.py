"""Run a bundle's ONNX files in Apache TVM: compiled by LLVM for the CPU of this machine.

TVM computes what the QDQ files say, in float between a pair: their reference semantics.
"""

from deploy.simulate.toolchain import (
    Environment,
    Stage,
    Toolchain,
    driver,
    float_route,
    qdq_route,
)

_ENVIRONMENT = Environment(
    pins=("apache-tvm==0.27.0.post1", "onnx==1.23.2", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=450,
)

TOOLCHAIN = Toolchain(
    name="tvm",
    summary="CPUs through Apache TVM",
    executes="code that TVM and LLVM make for this machine's CPU, with our schedules of loops",
    licence="apache-tvm: Apache-2.0; onnx: Apache-2.0; numpy: BSD-3-Clause",
    routes=(
        float_route(vendor="openvino"),
        qdq_route(
            "int8",
            "openvino",
            "the bundle's QDQ file, our scales, additions in float",
            "--vendor openvino",
        ),
        qdq_route(
            "int8-full",
            "qnn",
            "the bundle's QDQ file, our scales, 8 bits on every activation",
            "--vendor qnn --profile qnn",
        ),
    ),
    stages=(Stage("run", driver("tvm_driver.py"), _ENVIRONMENT),),
    aliases=("apache-tvm",),
    machines=("x86_64", "aarch64"),
)
