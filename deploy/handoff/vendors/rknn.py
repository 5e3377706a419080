"""Write the folder for Rockchip NPUs (rknn-toolkit2): float ONNX with a dataset, our QDQ ONNX.

rknn-toolkit2 2.5.0 takes QDQ graphs of 8-bit activations with ``do_quantization=False``, so a
bundle has both routes: the vendor's own quantizer on the float model, and our scales.
"""

import numpy as np

from calib.npy import write_npy
from deploy.handoff.vendor import BundleContext, Vendor

_INT8, _MIXED = "qnn", "openvino"
"""8 bits on every activation, and 8-bit convolutions with fp16 around them; both asymmetric, one scale
per tensor, which is what the NPU computes with."""

# rknn-toolkit2 asks for torch up to 2.4.0 by itself; setuptools is there for its pkg_resources, which
# version 80 dropped.
REQUIREMENTS = """\
rknn-toolkit2==2.5.0
numpy==1.26.4
onnx==1.17.0
onnxruntime==1.20.1
protobuf==4.25.4
opencv-python<4.12
setuptools==69.5.1
"""

README = """\
# {{ model }} on Rockchip NPUs

All commands are run in this folder.

## Environment

    python3.11 -m venv venv
    venv/bin/pip install -r requirements.txt

On Linux x86-64. rknn-toolkit2 wants torch up to 2.4.0, and pip takes that with CUDA, some 2 GB: a build
of torch 2.4.0 for CPUs, installed into `venv` first, saves them.

## Build, and run the golden inputs

{% for route in routes if route not in ("float", "quantize") %}
    venv/bin/python rknn_run.py --route {{ route }} --out out-{{ route }}
{% endfor %}

{% if routes | length > 2 %}
{{ "This needs" if routes | length == 3 else "These need" }} no pictures: the scales are in the file.
{% endif %}The route `quantize` calibrates on {{ calibration.record.count }} pictures,
{%- if calibration.included %} which lie in `../calibration/images`:
{% else %} which do not come with this bundle; `../calibration/README.md`
says who supplies them. With their folder as FOLDER:
{% endif %}

{% if not calibration.included %}
    venv/bin/python ../calibration/prepare_calibration.py --photos FOLDER
{% endif %}
    venv/bin/python rknn_run.py --route quantize --out out-quantize

| route | ONNX | quantized by |
|---|---|---|
{% if "qdq" in routes %}
| `qdq` | `{{ routes["qdq"] }}` | us, 8 bits on every activation: the scales are in the file, `do_quantization=False` |
{% endif %}
{% if "qdq-mixed" in routes %}
| `qdq-mixed` | `{{ routes["qdq-mixed"] }}` | us, the scales are in the file; residual additions and the ends of the network in fp16 |
{% endif %}
| `quantize` | `{{ routes["quantize"] }}` | rknn-toolkit2, on the {{ calibration.record.count }} pictures |
| `float` | `{{ routes["float"] }}` | nobody: fp16 |

The graph of `quantize` is made to be quantized: channels are equalized, weights lie on the grid of int8
weights that GPTQ chose, and biases make up for it. Rounding each channel of a weight to nearest brings
{{ recovered[0] }} of {{ recovered[1] }} channels back exactly.

`--platform rk3588` chooses the chip to build for; `--device rk3588` runs on a board that is
connected instead of on the simulator: that needs adb, `rknn_server` and `librknnrt` of the toolkit's
version on the board, and the same name for both options. Each leaves `out-…/{{ model }}-….rknn` and
`out-…/returned/NAME.npy`. Send back `returned/`, and say of which route it is: outputs of `quantize` are
judged by your scales (`esrdeploy verify --returned`){{ ", those with ours by our int8 (`--scales ours`)" if routes | length > 2 else "" }}, those of `float` with `--precision fp16`.

The golden inputs are `golden/NAME.npy`: uint8 {{ "luma" if gray else "RGB" }} [1,{{ tile.height_px }},{{ tile.width_px }},{{ tile.channels }}]. The built
model divides by 255 itself (mean 0, standard deviation 255 of values 0..255): feed it 8-bit
pictures, {{ "gray" if gray else "RGB" }}, and clip its output to [0,1].

## A photograph of any size

    venv/bin/python ../tiles.py cut photo.png tiles
    venv/bin/python rknn_run.py --route {{ from_file }} --out out-tiles --inputs tiles
    venv/bin/python ../tiles.py join tiles out-tiles/returned large.png

{% include "tiles.md" %}

## If a route fails

Rockchip does not document that its toolkit takes QDQ graphs: if such a route fails, send us the log and
go on with `quantize`. Where that is not close enough, the toolkit's next steps are
`quantized_algorithm="mmse"` in its `config` and `auto_hybrid=True` in its `build`.

## Checked

2026-11-26: rknn-toolkit2 2.5.0 built and simulated all routes of other networks for rk3588; this bundle's
files were not run there, and no board by us.
{%- if gray %}
Networks for gray pictures were not tried with it.
{%- endif %}
"""


def _write(context: BundleContext) -> None:
    profile = next(iter(context.int8))
    routes = {"quantize": context.quantizable_path(profile)}
    if _INT8 in context.int8:
        routes["qdq"] = context.int8_path(_INT8)
    if _MIXED in context.int8:
        routes["qdq-mixed"] = context.paired_path(_MIXED)
    *_, from_file = routes  # one whose scales are in the file, where there is one
    routes["float"] = context.float_path
    context.write_script("rknn_run.py")
    context.write_json(
        "settings.json",
        {"model": context.model, "channels": context.tile.channels, "routes": routes},
    )
    if context.calibration.included:
        context.write("dataset.txt", "".join(f"../{file}\n" for file in context.calibration.files))
    context.write("requirements.txt", REQUIREMENTS)
    for vector in context.golden:
        write_npy(context.path(f"golden/{vector.name}.npy"), context.seen(vector)[np.newaxis])
    context.write(
        "README.md",
        context.render(
            README,
            routes=routes,
            from_file=from_file,
            recovered=context.recovered_channels(profile),
        ),
    )


VENDOR = Vendor(
    name="rknn",
    summary="Rockchip NPUs through rknn-toolkit2",
    profiles=(_INT8, _MIXED),
    write=_write,
    quantizes_itself=True,
    takes_batch=False,
    aliases=("rockchip",),
)
