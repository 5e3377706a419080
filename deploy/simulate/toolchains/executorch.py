"""Run a bundle's float file in ExecuTorch: rebuilt in torch, lowered to XNNPACK, run here."""

from deploy.simulate.toolchain import (
    Environment,
    Stage,
    Toolchain,
    driver,
    float_route,
    own_route,
    ranges_route,
)

_ENVIRONMENT = Environment(
    pins=("executorch==1.5.1", "torch==2.13.0", "torchao==0.18.0", "onnx==1.23.2", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=7000,
)

TOOLCHAIN = Toolchain(
    name="executorch",
    summary="phones through ExecuTorch",
    executes="ExecuTorch's XNNPACK delegate on this machine, and its portable kernels for what "
    "XNNPACK does not take; no phone",
    licence="executorch, torch, torchao: BSD-3-Clause (torch with CUDA: NVIDIA's terms); "
    "numpy, coremltools: BSD-3-Clause; onnx: Apache-2.0",
    routes=(
        float_route("the bundle's float ONNX, rebuilt in torch"),
        own_route(
            "the bundle's float ONNX for quantizers, rebuilt and quantized by torchao for XNNPACK"
        ),
        ranges_route(
            "ranges",
            "the same file in int8, our ranges and weights in place of what torchao would see",
            asks_pictures=False,
        ),
    ),
    stages=(Stage("run", driver("executorch_driver.py"), _ENVIRONMENT),),
    aliases=("pytorch",),
    machines=("x86_64", "aarch64"),
)
