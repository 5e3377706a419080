"""Run a bundle in rknn-toolkit2: built for an RK3588 and run on the toolkit's simulator.

The toolkit asks for torch up to 2.4.0 and runs with later ones, so it is installed without what it
asks for. A build of torch for CPUs, where pip finds one, saves 5 GB.
"""

from deploy.handoff.bundle_manifest import BundleManifest
from deploy.simulate.toolchain import (
    Environment,
    Route,
    Stage,
    Toolchain,
    driver,
    float_route,
    int8_file,
    own_route,
    qdq_route,
    vendor_file,
)

_ENVIRONMENT = Environment(
    pins=(
        "torch==2.13.0",
        "numpy==1.26.4",
        "onnx==1.17.0",
        "onnxruntime==1.20.1",
        "protobuf==4.25.4",
        "opencv-python==4.11.0.86",
        "psutil==7.2.2",
        "ruamel.yaml==0.19.1",
        "scipy==1.14.1",
        "tqdm==4.70.1",
        "fast-histogram==0.14",
    ),
    bare=("rknn-toolkit2==2.5.0", "setuptools==69.5.1"),
    pythons=("3.11", "3.10", "3.12"),
    size_mb=6500,
)


def _mixed(manifest: BundleManifest) -> str | None:
    """Return the ``openvino`` file with a QDQ pair on either side of every Concat."""
    paired = vendor_file("rknn/{stem}-int8-openvino-paired.onnx")(manifest)
    return paired or int8_file("openvino")(manifest)


TOOLCHAIN = Toolchain(
    name="rknn",
    summary="Rockchip NPUs through rknn-toolkit2",
    executes="rknn-toolkit2's simulator of an RK3588; no board",
    licence="rknn-toolkit2: its package states none, so nothing says that you may pass it on; "
    "torch (with CUDA: NVIDIA's terms), numpy, scipy, protobuf, psutil, fast-histogram: BSD; "
    "onnx, opencv-python: Apache-2.0; "
    "onnxruntime, ruamel.yaml, setuptools: MIT; tqdm: MPL-2.0 and MIT",
    routes=(
        float_route("the bundle's float ONNX, in fp16", precision="fp16", vendor="rknn"),
        own_route(
            "the bundle's float ONNX for quantizers, quantized by the toolkit",
            vendor="rknn",
            profile="qnn",
        ),
        qdq_route(
            "qdq",
            "qnn",
            "the bundle's QDQ file, our scales, 8 bits on every activation",
            "--vendor rknn --profile qnn",
        ),
        Route(
            "qdq-mixed",
            "the bundle's QDQ file, our scales, additions and ends in fp16",
            "int8",
            _mixed,
            "--vendor rknn --profile openvino",
            "openvino",
        ),
    ),
    stages=(Stage("run", driver("rknn_driver.py"), _ENVIRONMENT),),
    aliases=("rockchip",),
    machines=("x86_64", "aarch64"),
)
