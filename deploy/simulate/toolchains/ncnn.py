"""Run a bundle's pairs in ncnn: the engine of the wheel, on any machine."""

from deploy.simulate.toolchain import Environment, Route, Stage, Toolchain, driver, vendor_file

_LACKING = "--vendor ncnn"
_ENVIRONMENT = Environment(
    pins=("ncnn==1.0.20261020", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=150,
)

TOOLCHAIN = Toolchain(
    name="ncnn",
    summary="CPUs and mobile chips through ncnn",
    executes="ncnn's CPU engine on this machine",
    licence="ncnn: BSD-3-Clause; numpy: BSD-3-Clause",
    routes=(
        Route(
            "float",
            "the bundle's float pair",
            "fp32",
            vendor_file("ncnn/{stem}-fp32.param"),
            _LACKING,
            "tensorrt-10",
        ),
        Route(
            "int8",
            "the bundle's int8 pair, our scales",
            "int8",
            vendor_file("ncnn/{stem}-int8.param"),
            _LACKING,
            "tensorrt-10",
        ),
    ),
    stages=(Stage("run", driver("ncnn_driver.py"), _ENVIRONMENT),),
)
