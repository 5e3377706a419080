"""Run a bundle's ONNX files in a browser: onnxruntime-web in a headless Chromium.

The browser is that of this machine; the runtime comes from npm's registry. All is computed by its
``wasm`` execution provider, QDQ included.
"""

from deploy.simulate.npm import NpmPackage
from deploy.simulate.toolchain import (
    QDQ_ROUTES,
    Environment,
    Program,
    Stage,
    Toolchain,
    driver,
)

_RUNTIME = NpmPackage(
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
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
    routes=QDQ_ROUTES,
    stages=(Stage("run", driver("web_driver.py"), _ENVIRONMENT),),
    aliases=("browser", "onnxruntime-web"),
    programs=(_CHROMIUM,),
)
