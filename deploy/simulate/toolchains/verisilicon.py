"""Run a bundle's files in VeriSilicon's Acuity: as they are, or quantized by Acuity.

What computes is Acuity's inference on TensorFlow, with the scales of the file; the package holds
no simulator of a chip. Its import fails without torch, which it does not ask for.
"""

from dataclasses import replace

from deploy.simulate.toolchain import (
    Environment,
    Stage,
    Toolchain,
    driver,
    float_route,
    own_route,
    qdq_route,
)

_ENVIRONMENT = Environment(
    pins=("acuitylite==6.57.1", "torch==2.11.0"), pythons=("3.10",), size_mb=7400
)

TOOLCHAIN = Toolchain(
    name="verisilicon",
    summary="NXP, Amlogic, Allwinner and STM32MP2 chips with a VeriSilicon NPU, through Acuity",
    executes="Acuity's inference on TensorFlow, in the file's scales; no simulator of a chip",
    licence="acuitylite: its package states none, so nothing says that you may pass it on; "
    "torch: BSD-3-Clause, with NVIDIA's CUDA libraries under NVIDIA's terms",
    routes=(
        float_route(),
        own_route(
            "the bundle's float ONNX for quantizers, quantized by Acuity to uint8", vendor="rknn"
        ),
        replace(
            own_route("the same, to int8 with a scale for each channel of a weight", vendor="rknn"),
            name="own-channel",
        ),
        qdq_route("qdq", "qnn", "the bundle's QDQ file, our scales", "--vendor qnn --profile qnn"),
    ),
    stages=(Stage("run", driver("verisilicon_driver.py"), _ENVIRONMENT),),
    aliases=("nxp", "amlogic", "acuity"),
    machines=("x86_64",),
)
