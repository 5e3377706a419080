"""Write the folder for ncnn: float and int8 models, and the table that ncnn2int8 takes.

ncnn computes a convolution in int8 from a symmetric scale of its input and one scale per output
channel, everything else in float. That is what the profile ``tensorrt-10`` stands for, so its QDQ
model is what the int8 pair and the table are written from, and what they must reproduce.
"""

from functools import partial
from pathlib import Path

from calib.form import Form
from deploy.handoff.acceptance import rerun_db, same_float
from deploy.handoff.bundle_manifest import int8_kind
from deploy.handoff.vendor import BundleContext, Engine, Vendor
from deploy.ncnn.from_onnx import layer_name, ncnn_layers
from deploy.ncnn.write import bin_content, param_text, table_text
from deploy.runtime.ncnn import ncnn_runner
from deploy.runtime.runner import Runner
from quant.qdq.int8_convolutions import int8_convolutions

_PROFILE = "tensorrt-10"
_INT8 = int8_kind(_PROFILE)

README = """\
# {{ model }} on ncnn

All commands are run in this folder.

| file | what it is |
|---|---|
| `{{ model }}-fp32.param`, `.bin` | the float network |
| `{{ model }}-int8.param`, `.bin` | {{ quantized }} of its {{ convolutions }} convolutions in int8, by our scales |
| `{{ model }}-int8.table` | the same scales, for `ncnn2int8` |

{% if tile.batch > 1 -%}
ncnn takes one picture at a time; a golden input holds {{ tile.batch }}, to be run one after another.

{% endif -%}
Blob `input`: {{ "1 plane" if gray else "3 planes" }} of {{ tile.size }}, {{ "luma" if gray else "RGB" }} in [0,1]. Blob `output`: {{ "1 plane" if gray else "3 planes" }} of
{{ output_shape[2] }}x{{ output_shape[3] }}, to be clipped to [0,1]. From pixels:

    ncnn::Mat in = ncnn::Mat::from_pixels(bgr, ncnn::Mat::PIXEL_BGR2{{ "GRAY" if gray else "RGB" }}, {{ tile.width_px }}, {{ tile.height_px }});
    const float norm[] = { {{- (["1 / 255.f"] * tile.channels) | join(", ") -}} };
    in.substract_mean_normalize(0, norm);

## Run the golden inputs

    python -m pip install ncnn numpy
    python ncnn_run.py {{ model }}-int8.param --out returned
    python ncnn_run.py {{ model }}-fp32.param --out returned-fp32

On a device, feed `../golden/input/NAME.npy` and send back the blob `output` as `NAME.npy` or raw
float32 `NAME.raw`. On ARM ncnn computes the float pair in fp16 unless `use_fp16_packed`,
`use_fp16_storage` and `use_fp16_arithmetic` are off (`ncnn_run.py` turns them off): switch them off,
or say that it is fp16.

## A photograph of any size

    python ../tiles.py cut photo.png tiles
    python ncnn_run.py {{ model }}-int8.param --out drawn --inputs tiles
    python ../tiles.py join tiles drawn large.png

{% include "tiles.md" %}

## The table

    ncnn2int8 {{ model }}-fp32.param {{ model }}-fp32.bin mine.param mine.bin {{ model }}-int8.table

makes an int8 pair with every weight rounded to the nearest value. The pair that lies here has
weights rounded by GPTQ and biases corrected for it, and is the better one. `#` before the line
`NAME` (the scale of its input; `NAME_param_0`, those of its weights, may stay) leaves that
convolution in float; what is not quantized is stored in fp16. `ncnn2int8` is no part of the pip
package: it comes with ncnn's release archives, or a build with `NCNN_BUILD_TOOLS`.

## Checked

2026-11-26: ncnn 1.0.20261020 ran both pairs of other networks. The lines on `ncnn2int8` are from its source of that day.
"""


def _write(context: BundleContext) -> None:
    float_model = context.equalized(_PROFILE)
    layers = ncnn_layers(float_model)
    names = {node.name: layer_name(node) for node in float_model.graph.node}
    found = int8_convolutions(context.int8[_PROFILE].model)
    int8 = {names[node]: convolution for node, convolution in found.items()}
    context.write(f"{context.model}-fp32.param", param_text(layers))
    context.write(f"{context.model}-fp32.bin", bin_content(layers))
    context.write(f"{context.model}-int8.param", param_text(layers, int8))
    context.write(f"{context.model}-int8.bin", bin_content(layers, int8))
    context.write(f"{context.model}-int8.table", table_text(int8))
    context.write_script("ncnn_run.py")
    convolutions = sum(layer.kind == "Convolution" for layer in layers)
    context.write(
        "README.md", context.render(README, quantized=len(int8), convolutions=convolutions)
    )


def _load_float(root: Path, model: str, _form: Form) -> Runner:
    return ncnn_runner(root / "ncnn" / f"{model}-fp32.param")


def _load_int8(root: Path, model: str, _form: Form) -> Runner:
    return ncnn_runner(root / "ncnn" / f"{model}-int8.param")


VENDOR = Vendor(
    name="ncnn",
    summary="ncnn on CPUs and mobile chips",
    profiles=(_PROFILE,),
    write=_write,
    engines=(
        Engine("float pair in ncnn", "ncnn", "ncnn", "float", same_float, _load_float),
        Engine("int8 pair in ncnn", "ncnn", "ncnn", _INT8, partial(rerun_db, _INT8), _load_int8),
    ),
    takes_lowered=False,
)
