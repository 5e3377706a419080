"""Run a bundle's IR in OpenVINO: the CPU plugin of the wheel, on any machine."""

from deploy.simulate.toolchain import Environment, Route, Stage, Toolchain, driver, vendor_file

_LACKING = "--vendor openvino"
_ENVIRONMENT = Environment(
    pins=("openvino==2026.4.1", "numpy==2.4.6"),
    pythons=("3.11", "3.12", "3.13"),
    size_mb=270,
)

TOOLCHAIN = Toolchain(
    name="openvino",
    summary="Intel CPUs through OpenVINO",
    executes="OpenVINO's CPU plugin on this machine",
    licence="openvino: Apache-2.0; numpy: BSD-3-Clause",
    routes=(
        Route(
            "float",
            "the bundle's float IR",
            "fp32",
            vendor_file("openvino/{stem}-fp32.xml"),
            _LACKING,
            "openvino",
        ),
        Route(
            "int8",
            "the bundle's int8 IR, our scales",
            "int8",
            vendor_file("openvino/{stem}-int8.xml"),
            _LACKING,
            "openvino",
        ),
    ),
    stages=(Stage("run", driver("openvino_driver.py"), _ENVIRONMENT),),
    aliases=("intel",),
    takes_form=True,
)
