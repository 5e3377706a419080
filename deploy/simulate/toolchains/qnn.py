"""Run a bundle's QDQ files on the simulator of Qualcomm's HTP that comes with onnxruntime-qnn.

The wheel for x86-64 Linux holds ``libQnnHtp.so``, which computes as the tensor processor does, some
minutes a picture for a network of six blocks. The chip is an SM8650 (HTP v75).
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
    pins=("onnxruntime==1.32.0", "onnxruntime-qnn==2.7.0", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=500,
)

TOOLCHAIN = Toolchain(
    name="qnn",
    summary="Qualcomm chips through onnxruntime-qnn",
    executes="the package's simulator of an SM8650's HTP v75, and nothing on the CPU",
    licence="onnxruntime-qnn: MIT, with Qualcomm's libraries under the terms in its LICENSE files; "
    "onnxruntime: MIT; numpy: BSD-3-Clause",
    routes=(
        Route(
            "float",
            "the bundle's float ONNX; HTP computes it in fp16",
            "fp16",
            float_file,
            "--vendor qnn",
        ),
        Route(
            "w8a8",
            "the bundle's QDQ file, our scales, 8-bit activations",
            "int8",
            int8_file("qnn"),
            "--vendor qnn --profile qnn",
            "qnn",
        ),
        Route(
            "w8a16",
            "the bundle's QDQ file, our scales, 16-bit activations",
            "int8",
            int8_file("qnn-w8a16"),
            "--vendor qnn --profile qnn-w8a16",
            "qnn-w8a16",
        ),
    ),
    stages=(Stage("run", driver("qnn_driver.py"), _ENVIRONMENT),),
    aliases=("qualcomm",),
    machines=("x86_64",),
    takes_form=True,
    seconds_per_gmac=3.0,
)
