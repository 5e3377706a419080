"""Write the folder for TensorRT: the QDQ ONNX by its rules, or a calibration cache.

A cache is text: a line that names version and calibrator, then a line per tensor::

    TRT-101401-EntropyCalibration2
    input: 3c010204                   scale of the int8 values, as the bits of a float32

Tensors that are not named are left in float, so the cache says the same as the QDQ graph does.
"""

import struct

from deploy.handoff.vendor import BundleContext, Vendor
from quant.plan import QuantPlan

_PROFILE = "tensorrt"
_CACHE_HEADER = "TRT-101401-EntropyCalibration2"

README = """\
# {{ model }} on TensorRT

All commands are run in this folder.

## Build from the QDQ graph (recommended)

    trtexec --onnx={{ int8_onnx }} --int8 --fp16 --saveEngine={{ model }}-int8.engine

The scales are in the file: no calibration takes place, and `--fp16` serves the layers that are
not quantized. With `--stronglyTyped` in place of both, they run in fp32. The graph keeps the
explicit rules: symmetric int8, float bias, nothing between a convolution and its activation.

## Run the golden inputs

    mkdir -p outputs
    for raw in raw/*.raw; do
      trtexec --loadEngine={{ model }}-int8.engine --loadInputs=input:$raw --iterations=1 \\
        --warmUp=0 --duration=0 --exportOutput=outputs/$(basename $raw .raw).json
    done
    python trtexec_outputs.py outputs/*.json --out returned

`raw/NAME.raw` is float32 [{{ input_shape | join(",") }}] without a header. Send back `returned/`.

## Build from the float graph with a calibration cache

    trtexec --onnx={{ float_onnx }} --int8 --fp16 --calib=calibration.cache \\
        --saveEngine={{ model }}-int8-calibrated.engine

Implicit quantization, which TensorRT 10 calls deprecated. TensorRT takes a cache of its own
version alone; write yours into the first line, major * 10000 + minor * 100 + patch (10.14.1 is
101401; before TensorRT 10 major * 1000 + minor * 100 + patch):

    sed -i '1s/.*/TRT-101401-EntropyCalibration2/' calibration.cache

Weights are then rounded to nearest by TensorRT, so this route is a little less exact.
"""


def calibration_cache(plan: QuantPlan) -> str:
    """Return the text of a calibration cache with the scales of a symmetric plan.

    >>> struct.pack(">f", 1 / 127).hex()
    '3c010204'
    """
    steps = {edge.tensor: edge.scale for edge in plan.edges.values()}
    lines = [f"{name}: {struct.pack('>f', step).hex()}" for name, step in sorted(steps.items())]
    return "\n".join([_CACHE_HEADER, *lines]) + "\n"


def _write(context: BundleContext) -> None:
    float_onnx = context.quantizable_path(_PROFILE)
    context.write("calibration.cache", calibration_cache(context.int8[_PROFILE].plan))
    for vector in context.golden:
        context.write(f"raw/{vector.name}.raw", context.network_input(vector).tobytes())
    context.write_script("trtexec_outputs.py")
    context.write(
        "README.md",
        context.render(README, int8_onnx=context.int8_path(_PROFILE), float_onnx=float_onnx),
    )


VENDOR = Vendor(
    name="tensorrt",
    summary="NVIDIA GPUs through TensorRT",
    profiles=(_PROFILE,),
    write=_write,
    aliases=("nvidia",),
)
