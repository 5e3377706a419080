"""Run a bundle's ONNX files in Apache TVM: compiled by LLVM for the CPU of this machine.

TVM computes what the QDQ files say, in float between a pair: their reference semantics.
"""

from deploy.simulate.toolchain import (
    Environment,
    Route,
    Stage,
    Toolchain,
    driver,
    float_file,
    int8_file,
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
        Route("float", "the bundle's float ONNX", "fp32", float_file, "--vendor openvino"),
        Route(
            "int8",
            "the bundle's QDQ file, our scales, additions in float",
            "int8",
            int8_file("openvino"),
            "--vendor openvino",
            "openvino",
        ),
        Route(
            "int8-full",
            "the bundle's QDQ file, our scales, 8 bits on every activation",
            "int8",
            int8_file("qnn"),
            "--vendor qnn --profile qnn",
            "qnn",
        ),
    ),
    stages=(Stage("run", driver("tvm_driver.py"), _ENVIRONMENT),),
    aliases=("apache-tvm",),
    machines=("x86_64", "aarch64"),
)
