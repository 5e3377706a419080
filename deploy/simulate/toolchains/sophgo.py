"""Run a bundle's float file in TPU-MLIR: lowered for a Sophgo BM1684X and run as that computes.

The tools want a Python 3.10 and packages that they do not ask for (torch, torchvision, psutil).
They take no QDQ file; our ranges reach them as a calibration table.
"""

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
    pins=("tpu-mlir[onnx]==1.30.2", "torch==2.11.0", "torchvision==0.26.0", "psutil==7.2.2"),
    pythons=("3.10",),
    size_mb=6600,
)


TOOLCHAIN = Toolchain(
    name="sophgo",
    summary="Sophgo BM1684X through TPU-MLIR",
    executes="TPU-MLIR's interpreter of the graph lowered for a BM1684X; no board",
    licence="tpu-mlir: BSD-2-Clause; torch, torchvision: BSD-3-Clause, with NVIDIA's CUDA "
    "libraries under NVIDIA's terms; psutil: BSD-3-Clause",
    routes=(
        float_route(),
        own_route(
            "the bundle's float ONNX for quantizers, quantized by TPU-MLIR to symmetric int8"
        ),
        ranges_route(
            "table",
            "the same file in int8, our ranges and weights through TPU-MLIR's calibration table",
        ),
    ),
    stages=(
        Stage("build", driver("sophgo_build.py"), _ENVIRONMENT),
        Stage("run", driver("sophgo_driver.py"), _ENVIRONMENT),
    ),
    aliases=("tpu-mlir", "bm1684x"),
    machines=("x86_64",),
)
