"""Run a bundle's ONNX files in a browser: onnxruntime-web in a headless Chromium.

The browser is that of this machine; the runtime comes from npm's registry. All is computed by its
``wasm`` execution provider, QDQ included.
"""

from deploy.handoff.vendors.web import RUNTIME, RUNTIME_INTEGRITY, RUNTIME_VERSION
from deploy.simulate.npm import NpmPackage
from deploy.simulate.toolchain import (
    Environment,
    Program,
    Stage,
    Toolchain,
    driver,
    float_route,
    qdq_route,
)

_RUNTIME = NpmPackage(RUNTIME, RUNTIME_VERSION, RUNTIME_INTEGRITY)
_CHROMIUM = Program(
    "Chromium",
    ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
)
_ENVIRONMENT = Environment(
    pins=("numpy==2.4.6",), pythons=("3.11", "3.12", "3.13"), size_mb=250, npm=(_RUNTIME,)
)

TOOLCHAIN = Toolchain(
    name="web",
    summary="browsers through onnxruntime-web",
    executes="onnxruntime-web's wasm provider in a headless Chromium on this machine; no WebGPU",
    licence="onnxruntime-web: MIT; numpy: BSD-3-Clause",
    routes=(
        float_route(vendor="web"),
        qdq_route(
            "int8", "ort", "the bundle's QDQ file for onnxruntime, our scales", "--vendor web"
        ),
        qdq_route(
            "int8-full",
            "qnn",
            "the bundle's QDQ file, our scales, 8 bits on every activation",
            "--vendor web --profile qnn",
        ),
    ),
    stages=(Stage("run", driver("web_driver.py"), _ENVIRONMENT),),
    aliases=("browser", "onnxruntime-web"),
    programs=(_CHROMIUM,),
)
