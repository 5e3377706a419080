"""Write the folder for VastAI (vamc, vamp): float ONNX, build files, inputs as vamp reads them.

vamc quantizes by itself; a QDQ graph is no input. Keys of the build file, of the vdsp parameters
and of the ``.npz`` files are those of the vendor's model zoo (VastModelZOO,
cv/super_resolution/real_esrgan). ``NormaType`` DIV255 divides by 255 and reads no mean and no
deviation; ours say 0 and 1, so that no reader wonders.
"""

from typing import Any

import numpy as np

from calib.tile import Tile
from deploy.handoff.vendor import BundleContext, Vendor

_CALIBRATION_IMAGES = 50

README = """\
# {{ model }} on VastAI accelerators

All commands are run in this folder.

## Build

    vamc compile build-fp16.yaml

needs no pictures. int8 calibrates on {{ images }} pictures
{%- if calibration.included %} of `../calibration/images`:
{% else %}, which do not come with this bundle; `../calibration/README.md`
says who supplies them. With their folder as FOLDER:
{% endif %}

{% if not calibration.included %}
    python ../calibration/prepare_calibration.py --photos FOLDER
{% endif %}
    vamc compile build-int8.yaml

`build-int8.yaml` calibrates by percentile, per channel. The checkpoints:

| | ONNX |
|---|---|
| fp16 | `{{ checkpoints.fp16 }}` |
| int8 | `{{ checkpoints.int8 }}` |

The second is made to be quantized: channels are equalized, weights lie on the grid of int8 weights that
GPTQ chose, and biases make up for it. vamc rounds each channel of a weight to nearest: {{ recovered[0] }} of
{{ recovered[1] }} channels come back exactly.

If a build fails, add `enable_graph_partition: true` below `compile:`. If your vamc refuses the pixel
shuffle in fp16, send us the message and go on with int8. If int8 is not close enough, try
`calibrate_mode: max`, `kl_divergence` or `mse`, or name layers under `skip_conv_layers`.

## Run the golden inputs

    vamp -m deploy_weights/{{ model }}-int8/mod --vdsp_params vdsp_params.json \\
        -i 1 -p 1 -b 1 -s [3,{{ tile.height_px }},{{ tile.width_px }}] \\
        --datalist npz_datalist.txt --path_output returned

`npz_datalist.txt` lists `npz/NAME.npz`, each with `input_0`: uint8 RGB [3,{{ tile.height_px }},{{ tile.width_px }}].
Make its paths absolute first: `sed -i "s|^|$PWD/|" npz_datalist.txt`.

`vdsp_params.json` divides by 255 and does nothing else (`DIV255`, which uses no `Mean` and `Std`): **no
ImageNet numbers**. VastAI's vaststreamx programs take the same file.

Send back `returned/`: one `.npz` with `output_0` for each input. If vamp numbered them, rename
them as the inputs are: they come in the order of the list.

## A photograph of any size

    python ../tiles.py cut photo.png tiles --form npz
    vamp -m deploy_weights/{{ model }}-int8/mod --vdsp_params vdsp_params.json \\
        -i 1 -p 1 -b 1 -s [3,{{ tile.height_px }},{{ tile.width_px }}] \\
        --datalist tiles/npz_datalist.txt --path_output drawn
    python ../tiles.py join tiles drawn large.png

The paths of that list are absolute. The outputs are to be named as the tiles are: `0000.npz` and so on.
{% include "tiles.md" %}

## Checked

2026-11-26, against VastAI's public model zoo of June 2026. vamc and vamp lie behind a login: nothing was
run by us.
"""


def _build_file(context: BundleContext, checkpoint: str, dtype: str, images: int) -> str:
    """Return the text of a build file; vamc reads YAML, and JSON's quoted strings are YAML."""
    lines = [
        f"name: {context.model}-{dtype}",
        "",
        "frontend:",
        "  shape:",
        f"    input: {list(context.tile.shape)}",
        "  type: onnx",
        f"  checkpoint: {checkpoint}",
        "  dtype: fp32",
        "",
        "backend:",
        "  type: tvm_vacc",
        f"  dtype: {dtype}",
        "  compile:",
        "    data_transport_mode: 1",
    ]
    if dtype == "int8":
        lines += [
            "  quantize:",
            "    calibrate_mode: percentile",
            "    quantize_per_channel: true",
            "",
            "dataset:",
            "  type: tvm",
            "  path: ../calibration/images/",
            "  sampler:",
            "    suffix: png",
            f"    get_data_num: {images}",
            "  process_ops:",
            "    - type: DecodeImage",
            "    - type: Resize",
            f"      size: {list(context.tile.sides)}",
            "    - type: Normalize",
            "      norm_type: null",
            "    - type: ToTensor",
        ]
    return "\n".join([*lines, "", "workspace:", "  path: ./deploy_weights/", ""])


def _vdsp_parameters(tile: Tile) -> dict[str, Any]:
    return {
        "OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR",
        "OpConfig": {
            "IimageFormat": "RGB_PLANAR",
            "IimageWidth": tile.width_px,
            "IimageHeight": tile.height_px,
            "IimageWidthPitch": tile.width_px,
            "IimageHeightPitch": tile.height_px,
            "OimageWidth": tile.width_px,
            "OimageHeight": tile.height_px,
            "Mean": [0.0, 0.0, 0.0],
            "Std": [1.0, 1.0, 1.0],
            "NormaType": "DIV255",
            "ColorCvtCode": "NO_CHANGE",
            "ResizeType": "BILINEAR_CV",
        },
    }


def _write(context: BundleContext) -> None:
    (profile,) = context.int8
    checkpoints = {"fp16": context.float_path, "int8": context.quantizable_path(profile)}
    images = min(_CALIBRATION_IMAGES, context.calibration.record.count)
    for dtype, checkpoint in checkpoints.items():
        context.write(f"build-{dtype}.yaml", _build_file(context, checkpoint, dtype, images))
    context.write_json("vdsp_params.json", _vdsp_parameters(context.tile))
    for vector in context.golden:
        planes = np.ascontiguousarray(context.picture(vector).transpose(2, 0, 1))
        context.write_npz(f"npz/{vector.name}.npz", {"input_0": planes})
    context.write(
        "npz_datalist.txt", "".join(f"npz/{vector.name}.npz\n" for vector in context.golden)
    )
    context.write(
        "README.md",
        context.render(
            README,
            checkpoints=checkpoints,
            images=images,
            recovered=context.recovered_channels(profile),
        ),
    )


VENDOR = Vendor(
    name="vacc",
    summary="VastAI accelerators through vamc and vamp",
    profiles=(),
    write=_write,
    quantizes_itself=True,
    takes_batch=False,
    takes_gray=False,
    aliases=("vastai",),
)
