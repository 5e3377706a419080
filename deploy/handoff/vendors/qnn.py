"""Write the folder for Qualcomm AI Engine Direct (QNN): w8a8 and w8a16 QDQ graphs, AIMET encodings.

The QDQ graphs are for onnxruntime's QNN execution provider and for qairt-converter. The encodings
are the same scales in AIMET's JSON (version 1.0.0), for ``--quantization_overrides`` on a float
graph. There ``real = scale * (q + offset)``, symmetric int8 counted from -128.

The float graph that belongs to the encodings has its weights on the int8 grid already, as AIMET
leaves them after rounding: whoever rounds them to nearest gets ours. aimet-onnx 2.42 loads
the encodings strictly for HTP v69 (tools/aimet_encodings.py); v73 merges a convolution and its
LeakyReLU, so there AIMET has no quantizer for what lies between them and ``strict`` has to be off.
"""

from collections.abc import Mapping
from typing import Any

from deploy.artifacts.files import serialize
from deploy.handoff.vendor import BundleContext, Vendor
from quant.numerics.affine import INTEGER_TYPES
from quant.plan import QuantPlan
from quant.qdq.int8_convolutions import Int8Convolution, int8_convolutions, on_the_grid

_PROFILES = {"w8a8": "qnn", "w8a16": "qnn-w8a16"}
_INT8_OFFSET = -128

README = """\
# {{ model }} on Qualcomm chips

All commands are run in this folder.

| file | activations | weights |
|---|---|---|
{% for name, path in qdq.items() %}
| `{{ path }}` | {{ "uint16" if name == "w8a16" else "uint8" }} on every activation | int8 per channel |
{% if form.usual %}
| `{{ model }}-fp32-{{ name }}-grid.onnx` | float, until a tool quantizes it with `{{ model }}-{{ name }}.encodings.json` | float, on the grid of those int8 weights |
{% endif %}
{% endfor %}

## With onnxruntime's QNN execution provider

The QDQ files are its own input format:

    python -m pip install onnxruntime onnxruntime-qnn numpy
{% for name, path in qdq.items() %}
    python qnn_run.py {{ path }} --out returned-{{ name }}
{% endfor %}

onnxruntime 1.24.2 and onnxruntime-qnn 2 or later, on Python 3.11 or later: Windows and Linux on
ARM64. On Android the same provider comes by Maven. On x86-64 Linux the package brings a simulator
of the chip, which takes minutes a picture: `--soc-model 57 --htp-arch 75` is SM8650, `--first 1`
runs one input. Send back each folder.

To try the files without a chip, in onnxruntime on this machine's CPU:

{% for name, path in qdq.items() %}
    python qnn_run.py {{ path }} --backend CPU --out returned-cpu-{{ name }}
{% endfor %}
{% if saturable %}

**Not with onnxruntime's default settings on an x86-64 CPU without VNNI** (`lscpu | grep -i vnni`
prints nothing): {{ saturable }} convolutions of the w8a8 file have weights whose 8-bit products saturate at 16 bits there,
and the picture is not the file's. `--backend CPU` sets `session.x64quantprecision` to `1`, which
sums them in 32 bits; in your own program:

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
{% endif %}

{% if enlarges %}
## A photograph of any size

    python ../tiles.py cut photo.png tiles
    python qnn_run.py {{ qdq.values() | first }} --out drawn --inputs tiles
    python ../tiles.py join tiles drawn large.png

With `--backend CPU` the second line needs no chip. `qnn-net-run` (below) takes `tiles/input_list.txt`
of `cut photo.png tiles --form raw`, and `join` its folder with `Result_0` and so on as it is.
{% include "tiles.md" %}

{% endif %}
## With the QAIRT tools

{% if "w8a16" in qdq %}
w8a16 is for HTP alone: Qualcomm's CPU and DSP runtimes take no 16-bit activations.

{% endif %}
From the QDQ graph:

{% for name, path in qdq.items() %}
    qairt-converter --input_network {{ path }} --output_path {{ model }}-{{ name }}.dlc
{% endfor %}

{% if form.usual %}
Or from a float graph with our scales as overrides (AIMET's format); the weights of the graph are
on the int8 grid already, so that rounding them gives ours:

{% for name in qdq %}
    qairt-converter --input_network {{ model }}-fp32-{{ name }}-grid.onnx \\
        --quantization_overrides {{ model }}-{{ name }}.encodings.json --output_path {{ model }}-{{ name }}-overridden.dlc
    qairt-quantizer --input_dlc {{ model }}-{{ name }}-overridden.dlc --output_dlc {{ model }}-{{ name }}-by-overrides.dlc \\
        --input_list input_list.txt --act_bitwidth {{ "16" if name == "w8a16" else "8" }} --weights_bitwidth 8 --bias_bitwidth 32
{% endfor %}

The converter applies the overrides; the quantizer adds only what has none, the biases. It wants a
list of inputs for that, which decides nothing else.

{% endif %}
Run the golden inputs:

{% for name in qdq %}
    qnn-net-run --backend libQnnHtp.so --model libQnnModelDlc.so --dlc_path {{ model }}-{{ name }}.dlc \\
        --input_list input_list.txt {{ "--use_native_input_files " if input_type == "uint8" }}--output_dir returned-qairt-{{ name }}
{% endfor %}
{% if form.usual %}

Those are the DLCs of the QDQ graphs; run one `-by-overrides.dlc` likewise, into another `--output_dir`.
{% endif %}

`input_list.txt` names `raw/NAME.raw`: {{ input_type }} [{{ input_shape | join(",") }}] without a header.
Send back each folder: `Result_0/output.raw` belongs to the first line of the list, and so on. On the
chip's own system, run them as you run any DLC; paths in the list are relative to this folder.

## Checked

2026-11-26: onnxruntime 1.32.0 with onnxruntime-qnn 2.7.0 ran QDQ files of this kind and their float files on
its simulator of HTP v75; this bundle's own were not run there. QAIRT's commands were held against its
documentation of that day, not run.
"""


def encodings(
    plan: QuantPlan, convolutions: Mapping[str, Int8Convolution], weights: Mapping[str, str]
) -> dict[str, Any]:
    """Return AIMET's encodings (1.0.0) of a plan.

    Args:
        plan: of one of the qnn profiles.
        convolutions: what the QDQ model stores, by node.
        weights: name of the weight's initializer by node.
    """
    activations = [
        _per_tensor(edge.tensor, edge.dtype, edge.scale, edge.zero_point)
        for edge in plan.edges.values()
    ]
    constants = [
        _per_tensor(name, constant.dtype, constant.scale, constant.zero_point)
        for name, constant in plan.constants.items()
    ]
    parameters = [
        {
            "name": weights[node],
            "enc_type": "PER_CHANNEL",
            "dtype": "INT",
            "bw": 8,
            "is_sym": True,
            "scale": [float(step) for step in convolution.weight_scales],
            "offset": [_INT8_OFFSET] * len(convolution.weight_scales),
        }
        for node, convolution in convolutions.items()
    ]
    return {
        "version": "1.0.0",
        "activation_encodings": sorted([*activations, *constants], key=lambda entry: entry["name"]),
        "param_encodings": sorted(parameters, key=lambda entry: str(entry["name"])),
        "excluded_layers": [],
    }


def _per_tensor(name: str, dtype: str, scale: float, zero_point: int) -> dict[str, Any]:
    integer = INTEGER_TYPES[dtype]
    return {
        "name": name,
        "enc_type": "PER_TENSOR",
        "dtype": "INT",
        "bw": integer.span.bit_length(),
        "is_sym": False,
        "scale": [scale],
        "offset": [integer.qmin - zero_point],
    }


def _write(context: BundleContext) -> None:
    profiles = {name: profile for name, profile in _PROFILES.items() if profile in context.int8}
    # AIMET's encodings name the tensors of the usual form.
    for name, profile in profiles.items() if context.form.usual else ():
        float_model = context.equalized(profile)
        convolutions = int8_convolutions(context.int8[profile].model)
        weights = {
            node.name: node.input[1] for node in float_model.graph.node if len(node.input) > 1
        }
        context.write_json(
            f"{context.model}-{name}.encodings.json",
            encodings(context.int8[profile].plan, convolutions, weights),
        )
        context.write(
            f"{context.model}-fp32-{name}-grid.onnx",
            serialize(on_the_grid(float_model, convolutions)),
        )
    for vector in context.golden:
        context.write(f"raw/{vector.name}.raw", context.network_input(vector).tobytes())
    context.write(
        "input_list.txt", "".join(f"raw/{vector.name}.raw\n" for vector in context.golden)
    )
    context.write_script("qnn_run.py")
    saturable = context.int8["qnn"].saturable if "qnn" in context.int8 else 0
    qdq = {name: context.int8_path(profile) for name, profile in profiles.items()}
    context.write("README.md", context.render(README, qdq=qdq, saturable=saturable))


VENDOR = Vendor(
    name="qnn",
    summary="Qualcomm chips through onnxruntime or the QAIRT tools",
    profiles=tuple(_PROFILES.values()),
    write=_write,
    aliases=("qualcomm",),
    takes_form=True,
    takes_map=True,
)
