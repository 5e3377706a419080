"""Convert a bundle's float file to a Core ML program with coremltools; Linux cannot execute it."""

from deploy.simulate.toolchain import Environment, Route, Stage, Toolchain, driver, float_file

_ENVIRONMENT = Environment(
    pins=("coremltools==9.0", "torch==2.13.0", "onnx==1.23.2", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=6500,
)

TOOLCHAIN = Toolchain(
    name="coreml",
    summary="Apple's chips through coremltools",
    executes="nothing is executed here; Core ML programs run on Apple's systems",
    licence="coremltools, numpy: BSD-3-Clause; torch: BSD-3-Clause (with CUDA: NVIDIA's terms); "
    "onnx: Apache-2.0",
    routes=(
        Route(
            "float",
            "the bundle's float ONNX, rebuilt in torch and converted in fp32, both ends read back",
            "fp32",
            float_file,
            "--vendor vacc",
            makes="network.mlpackage",
        ),
    ),
    stages=(Stage("convert", driver("coreml_driver.py"), _ENVIRONMENT),),
    aliases=("apple", "coremltools"),
    machines=("x86_64",),
)
