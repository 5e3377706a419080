"""Run a bundle's QDQ files on the simulator of Qualcomm's HTP that comes with onnxruntime-qnn.

The wheel for x86-64 Linux holds ``libQnnHtp.so``, which computes as the tensor processor does, some
minutes a picture for a network of six blocks. The chip is an SM8650 (HTP v75).
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
        float_route(
            "the bundle's float ONNX; HTP computes it in fp16", precision="fp16", vendor="qnn"
        ),
        qdq_route(
            "w8a8",
            "qnn",
            "the bundle's QDQ file, our scales, 8-bit activations",
            "--vendor qnn --profile qnn",
        ),
        qdq_route(
            "w8a16",
            "qnn-w8a16",
            "the bundle's QDQ file, our scales, 16-bit activations",
            "--vendor qnn --profile qnn-w8a16",
        ),
    ),
    stages=(Stage("run", driver("qnn_driver.py"), _ENVIRONMENT),),
    aliases=("qualcomm",),
    machines=("x86_64",),
    takes_form=True,
    seconds_per_gmac=3.0,
)
