"""Run a bundle's files in VeriSilicon's Acuity: as they are, or quantized by Acuity.

What computes is Acuity's inference on TensorFlow, with the scales of the file; the package holds
no simulator of a chip. Its import fails without torch, which it does not ask for.
"""

from deploy.simulate.toolchain import (
    Environment,
    Route,
    Stage,
    Toolchain,
    driver,
    float_file,
    int8_file,
    quantizable_file,
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
        Route("float", "the bundle's float ONNX", "fp32", float_file, "--vendor vacc"),
        Route(
            "own",
            "the bundle's float ONNX for quantizers, quantized by Acuity to uint8",
            "int8",
            quantizable_file,
            "--vendor rknn",
            own_scales=True,
        ),
        Route(
            "qdq",
            "the bundle's QDQ file, our scales",
            "int8",
            int8_file("qnn"),
            "--vendor qnn --profile qnn",
            "qnn",
        ),
    ),
    stages=(Stage("run", driver("verisilicon_driver.py"), _ENVIRONMENT),),
    aliases=("nxp", "amlogic", "acuity"),
    machines=("x86_64",),
)
