"""Run a bundle's float file in LiteRT (TensorFlow Lite): converted, quantized, run with XNNPACK.

onnx2tf converts the ONNX file; ai-edge-quantizer quantizes what it wrote, on the bundle's
calibration pictures. The two want different versions of LiteRT, hence two environments.
"""

from deploy.simulate.toolchain import (
    Environment,
    Stage,
    Toolchain,
    driver,
    float_route,
    own_route,
)

_CONVERTER = Environment(
    pins=("onnx2tf==2.6.9", "ai-edge-litert==2.1.2", "numpy==2.2.6"),
    pythons=("3.12", "3.13"),
    size_mb=670,
)
_RUNTIME = Environment(
    pins=("ai-edge-litert==2.3.0", "ai-edge-quantizer==0.10.0", "numpy==2.4.6"),
    pythons=("3.11", "3.12"),
    size_mb=320,
)

TOOLCHAIN = Toolchain(
    name="litert",
    summary="phones and Arm Ethos-U through LiteRT",
    executes="LiteRT's XNNPACK kernels on this machine; no phone, no Ethos-U",
    licence="ai-edge-litert, ai-edge-quantizer: Apache-2.0; onnx2tf: MIT; numpy: BSD-3-Clause",
    routes=(
        float_route("the bundle's float ONNX, converted"),
        own_route(
            "the bundle's float ONNX for quantizers, converted and quantized by ai-edge-quantizer"
        ),
    ),
    stages=(
        Stage("convert", driver("litert_convert.py"), _CONVERTER),
        Stage("run", driver("litert_driver.py"), _RUNTIME),
    ),
    aliases=("tflite", "arm"),
    machines=("x86_64",),
)
