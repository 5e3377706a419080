"""Write the folder for OpenVINO: IR of the float and of the int8 model, made and run here.

The int8 IR is run here as well, and held to still drawing the picture alone: built with
``--accumulator-bits 32``, its 8-bit products saturate on x86-64 CPUs without VNNI, which is the
CPU's error and not the file's.
"""

from pathlib import Path

from calib.form import Form
from deploy.handoff.acceptance import same_float, same_picture
from deploy.handoff.vendor import BundleContext, Engine, Vendor
from deploy.runtime.runner import Runner

_PROFILE = "openvino"

README = """\
# {{ model }} on OpenVINO

All commands are run in this folder.

| file | what it is |
|---|---|
| `{{ model }}-fp32.xml`, `.bin` | the float network |
| `{{ model }}-int8.xml`, `.bin` | the int8 network, from `{{ int8_onnx }}` |

Input `input` {{ input_type }} [{{ input_shape | join(",") }}]; output `output` float32
[{{ output_shape | join(",") }}].

## Run the golden inputs

    python -m pip install openvino numpy
    python openvino_run.py {{ model }}-int8.xml --out returned
    python openvino_run.py {{ model }}-fp32.xml --out returned-fp32

`--device CPU` chooses the device, and `--device NPU` needs its driver. Send back `returned/`. The
script asks for float32 (`INFERENCE_PRECISION_HINT`), where OpenVINO would take bf16 or fp16 by itself: on
Xeons with AMX, on Arm and on GPUs. An NPU has fp16 only; say so when you send the float outputs.

{% if enlarges %}
## A photograph of any size

    python ../tiles.py cut photo.png tiles
    python openvino_run.py {{ model }}-int8.xml --out drawn --inputs tiles
    python ../tiles.py join tiles drawn large.png

{% include "tiles.md" %}

{% endif %}
## On x86-64 CPUs

{% if saturable -%}
On x86-64 CPUs without VNNI (`lscpu | grep -i vnni` prints nothing) the 8-bit multiplications saturate
at 16 bits, and the result is further from float than the file is.
{%- else -%}
The weights are chosen so that 8-bit products do not saturate on x86-64 CPUs without VNNI
(`lscpu | grep -i vnni` prints nothing), which add them in pairs in 16 bits.
{%- endif %}

## Speed

    benchmark_app -m {{ model }}-int8.xml -d CPU -hint latency

int8 is faster than float on x86-64 CPUs, GPUs and NPUs; on Arm, OpenVINO computes it in float.

## Checked

2026-11-26: OpenVINO 2026.4.1 ran both files of other networks on an x86-64 CPU. GPUs and NPUs: its documentation of that day.
"""


def _write(context: BundleContext) -> None:
    from deploy.runtime.openvino import write_ir  # noqa: PLC0415  # an extra

    for precision, model in (("fp32", context.float_model), ("int8", context.int8[_PROFILE].model)):
        write_ir(context.written(model), context.path(f"{context.model}-{precision}.xml"))
    context.write_script("openvino_run.py")
    readme = context.render(
        README, int8_onnx=context.int8_path(_PROFILE), saturable=context.int8[_PROFILE].saturable
    )
    context.write("README.md", readme)


def _load_float(root: Path, model: str, form: Form) -> Runner:
    return _loaded(root / "openvino" / f"{model}-fp32.xml", form)


def _load_int8(root: Path, model: str, form: Form) -> Runner:
    return _loaded(root / "openvino" / f"{model}-int8.xml", form)


def _loaded(xml: Path, form: Form) -> Runner:
    from deploy.runtime.openvino import ir_runner  # noqa: PLC0415  # an extra

    return ir_runner(xml, form)


VENDOR = Vendor(
    name="openvino",
    summary="OpenVINO on Intel CPUs, GPUs and NPUs",
    profiles=(_PROFILE,),
    write=_write,
    engines=(
        Engine("float IR in OpenVINO", "openvino", "openvino", "float", same_float, _load_float),
        Engine("int8 IR in OpenVINO", "openvino", "openvino", "float", same_picture, _load_int8),
    ),
    aliases=("intel",),
    takes_form=True,
    takes_map=True,
)
