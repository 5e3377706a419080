"""Write the folder for TensorRT: QDQ ONNX for the versions in use, and a calibration cache.

TensorRT 11 is strongly typed: it computes each layer in the type that the graph states, and has no
``--int8``, ``--fp16`` or ``--calib``. The profile ``tensorrt`` is written for it (and for 10.12 to
10.16 with ``--stronglyTyped``), ``tensorrt-10`` for the versions before.

A cache is text: a line that names version and calibrator, then a line per tensor::

    TRT-101401-EntropyCalibration2
    input: 3c010204                   scale of the int8 values, as the bits of a float32

Tensors that are not named are left in float, so the cache says the same as the QDQ graph does.
"""

import struct

from deploy.handoff.vendor import BundleContext, Vendor
from quant.plan import QuantPlan

_TYPED, _WEAK = "tensorrt", "tensorrt-10"
_CACHE_HEADER = "TRT-101401-EntropyCalibration2"

README = """\
# {{ model }} on TensorRT

All commands are run in this folder.

`trtexec` is not in the pip package: it comes with NVIDIA's container, tar or Debian package.

## Build from the QDQ graph (recommended)

| TensorRT | command |
|---|---|
{% if typed_onnx %}
| 11 (Jetson: JetPack 7.2.2 and later) | `trtexec --onnx={{ typed_onnx }} --saveEngine={{ model }}-int8.engine` |
| 10.12 to 10.16 | `trtexec --onnx={{ typed_onnx }} --stronglyTyped --saveEngine={{ model }}-int8.engine` |
{% else %}
| 11, and 10.12 to 10.16 | not in this bundle: ask for one made with `--profile tensorrt` |
{% endif %}
{% if weak_onnx %}
| 10.11 and older (JetPack 6) | `trtexec --onnx={{ weak_onnx }} --int8 --fp16 --saveEngine={{ model }}-int8.engine` |
{% else %}
| 10.11 and older (JetPack 6) | not in this bundle: ask for one made with `--profile tensorrt-10` |
{% endif %}

The scales are in the file: no calibration takes place. The graph keeps the explicit rules:
symmetric int8, float bias, nothing between a convolution and its activation. It is for GPUs: a DLA
wants a QDQ pair on every tensor.

{% if typed_onnx %}
`{{ typed_onnx }}` is strongly typed: int8 behind fp16 scales, all else in fp16, and a cast at
either end, so that it takes {{ input_type }} and gives float32. `esrdeploy inspect FILE --rules tensorrt`
says whether a file keeps to that.

{% endif %}
{% if weak_onnx %}
`{{ weak_onnx }}` is float32 where it is not int8, and wants `--fp16` to compute
that in fp16. TensorRT 11 has no such option: there it runs in float32.

{% endif %}
Which layers run in int8 is told by `--profilingVerbosity=detailed --exportLayerInfo=layers.json`.
A convolution and its PRelu may run one after the other there: NVIDIA promises one kernel for
LeakyRelu alone.

## Run the golden inputs

    mkdir -p outputs
    for raw in raw/*.raw; do
      trtexec --loadEngine={{ model }}-int8.engine --loadInputs=input:$raw --iterations=1 \\
        --warmUp=0 --duration=0 --exportOutput=outputs/$(basename $raw .raw).json
    done
    python trtexec_outputs.py outputs/*.json --out returned

`raw/NAME.raw` is {{ input_type }} [{{ input_shape | join(",") }}] without a header. Send back `returned/`{{ ", and say which of the two files it is of" if typed_onnx and weak_onnx }}.

{% if enlarges %}
## A photograph of any size

    python ../tiles.py cut photo.png tiles --form raw
    mkdir -p tile-outputs
    for raw in tiles/*.raw; do
      trtexec --loadEngine={{ model }}-int8.engine --loadInputs=input:$raw --iterations=1 \\
        --warmUp=0 --duration=0 --exportOutput=tile-outputs/$(basename $raw .raw).json
    done
    python trtexec_outputs.py tile-outputs/*.json --out drawn
    python ../tiles.py join tiles drawn large.png

{% include "tiles.md" %}

{% endif %}
{% if form.usual %}
## TensorRT 10.16 and older: build from the float graph with a calibration cache

    trtexec --onnx={{ float_onnx }} --int8 --fp16 --calib=calibration.cache \\
        --saveEngine={{ model }}-int8-calibrated.engine

Implicit quantization, which TensorRT 10 calls deprecated and 11 no longer has. TensorRT takes a cache of its own
version alone; write yours into the first line, major * 10000 + minor * 100 + patch (10.14.1 is
101401; before TensorRT 10 major * 1000 + minor * 100 + patch):

    sed -i '1s/.*/TRT-101401-EntropyCalibration2/' calibration.cache

Weights are then rounded to nearest by TensorRT. Those of this file lie on the grid of the int8 weights of
`{{ typed_onnx or weak_onnx }}`: {{ recovered[0] }} of {{ recovered[1] }} channels come back exactly.

{% endif %}
## Checked

2026-11-26, against NVIDIA's documentation of TensorRT 11.4 and 10.16. Files of this kind
were run by onnxruntime on a CPU; nothing was run on a GPU by us.
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
    profile = next(iter(context.int8))
    float_onnx = context.quantizable_path(profile)
    if context.form.usual:  # a cache names the tensors of that
        context.write("calibration.cache", calibration_cache(context.int8[profile].plan))
    for vector in context.golden:
        context.write(f"raw/{vector.name}.raw", context.network_input(vector).tobytes())
    context.write_script("trtexec_outputs.py")
    paths = {name: context.int8_path(name) for name in context.int8}
    context.write(
        "README.md",
        context.render(
            README,
            typed_onnx=paths.get(_TYPED),
            weak_onnx=paths.get(_WEAK),
            float_onnx=float_onnx,
            recovered=context.recovered_channels(profile),
        ),
    )


VENDOR = Vendor(
    name="tensorrt",
    summary="NVIDIA GPUs through TensorRT",
    profiles=(_TYPED, _WEAK),
    write=_write,
    aliases=("nvidia",),
    takes_form=True,
    takes_map=True,
)
