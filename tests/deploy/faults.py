"""Everything that is known to go wrong with a build, as functions that spoil a good one.

Each fault recomputes every digest it would upset, as somebody would who wants it to stay hidden,
or as a pipeline does that makes its records of whatever it has at hand. So no check of digests
finds it; what has to find it is what the file computes and what it follows from.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calib.digest import canonical_json, sha256_file
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from deploy.artifacts.files import serialize
from quant.fp16.convert import _Converter, to_fp16
from quant.fp16.exact_factors import divide_where_exact
from quant.fp16.range import nodes_to_keep
from quant.plan import QuantOptions, QuantPlan
from quant.targets import find_profile
from tests.quant.by_model import emit_qdq, make_plan, record_rounding, round_weights, stored_weights

FLOAT, HALF, INT8 = "tiny-fp32.onnx", "tiny-fp16.onnx", "tiny-int8-ort.onnx"
PLAN, TABLE, ARRAYS = "tiny-int8-ort.plan.json", "calibration.json", "calibration.npz"

Array = np.ndarray


@dataclass(frozen=True)
class Folders:
    """What a fault may use.

    Attributes:
        build: a copy of the good build, to be spoiled.
        other: a good build of another network of the same architecture.
        elsewhere: a good build of the same network, calibrated on other images.
    """

    build: Path
    other: Path
    elsewhere: Path


@dataclass(frozen=True)
class Fault:
    """One way to spoil a build.

    Attributes:
        name: of the fault, as people call it.
        inject: spoils ``folders.build``.
        artifact: the file that has to be blamed.
        named: what the report has to say of it, a regular expression.
    """

    name: str
    inject: Callable[[Folders], None]
    artifact: str
    named: str


def rehash(folder: Path) -> None:
    """Make the manifest agree with whatever lies beside it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for artifact in manifest["artifacts"]:
        artifact["sha256"] = sha256_file(folder / artifact["path"])
        artifact["size_bytes"] = (folder / artifact["path"]).stat().st_size
    try:
        manifest["calibration"]["digest"] = CalibrationTable.load(folder / TABLE).digest
    except Exception:  # noqa: BLE001  # the table may be what was spoiled
        manifest["calibration"]["digest"] = sha256_file(folder / TABLE)
    path.write_bytes(canonical_json(manifest))


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_bytes(canonical_json(manifest))


def load(folder: Path, name: str) -> onnx.ModelProto:
    return onnx.load(folder / name)


def store(folder: Path, name: str, model: onnx.ModelProto) -> None:
    (folder / name).write_bytes(serialize(model))
    rehash(folder)


def edit_initializer(
    folder: Path, name: str, initializer: str, change: Callable[[Array], Array]
) -> None:
    """Change one initializer of a model; ``initializer`` is how its name begins."""
    model = load(folder, name)
    (tensor,) = (t for t in model.graph.initializer if t.name.startswith(initializer))
    value = numpy_helper.to_array(tensor)
    # Not ascontiguousarray: it makes a scalar an array of one.
    changed = np.array(change(value.copy()), value.dtype, order="C")
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    store(folder, name, model)


def read_plan(folder: Path) -> QuantPlan:
    return QuantPlan.parse((folder / PLAN).read_bytes(), PLAN)


def write_plan(folder: Path, plan: QuantPlan) -> None:
    (folder / PLAN).write_bytes(plan.content())
    rehash(folder)


def middle_edge(folder: Path) -> str:
    """Return the name of an activation in the middle of the body."""
    names = [name for name in read_plan(folder).edges if "rdb2/conv3" in name]
    return names[0]


def requantize(folder: Path, change: Callable[[QuantPlan], QuantPlan]) -> None:
    """Write plan and int8 model as they come out once the plan was changed, codes kept."""
    model = load(folder, FLOAT)
    plan = read_plan(folder)
    stored = stored_weights(model, plan, load(folder, INT8))
    changed = change(plan)
    store(folder, INT8, emit_qdq(model, changed, stored))
    write_plan(folder, changed)


def reverse(axis: int) -> Callable[[Array], Array]:
    return lambda value: np.flip(value, axis)


# -- the faults, in the order of the issue


def swapped_channels(name: str, suffix: str) -> Callable[[Folders], None]:
    """The network takes and gives BGR: first and last convolution turned over."""

    def inject(folders: Folders) -> None:
        edit_initializer(folders.build, name, f"conv_first.weight{suffix}", reverse(1))

    return inject


def swapped_output(name: str, suffix: str) -> Callable[[Folders], None]:
    def inject(folders: Folders) -> None:
        edit_initializer(folders.build, name, f"conv_last.weight{suffix}", reverse(0))
        edit_initializer(folders.build, name, f"conv_last.bias{bias_suffix(suffix)}", reverse(0))

    return inject


def bias_suffix(weight_suffix: str) -> str:
    return "" if weight_suffix == "_half" else weight_suffix


def missing_division(name: str) -> Callable[[Folders], None]:
    """The file multiplies its input by 255, as if nobody had divided it."""

    def inject(folders: Folders) -> None:
        model = load(folders.build, name)
        for node in model.graph.node:
            for slot, tensor in enumerate(node.input):
                if tensor == "input":
                    node.input[slot] = "input_bytes"
        model.graph.initializer.append(numpy_helper.from_array(np.float32(255.0), "bytes"))
        scaling = helper.make_node("Mul", ["input", "bytes"], ["input_bytes"], "to_bytes")
        model.graph.node.insert(0, scaling)
        store(folders.build, name, model)

    return inject


def undivided_output(folders: Folders) -> None:
    """The file gives 0..255."""
    for initializer in ("conv_last.weight", "conv_last.bias"):
        edit_initializer(folders.build, HALF, initializer, lambda value: value * 255)


def transposed_codes(folders: Folders) -> None:
    """int8 codes written in the wrong order, the plan's digest of them recomputed."""
    name = "body.0.rdb2.conv3.weight"
    edit_initializer(folders.build, INT8, f"{name}_quantized", lambda codes: codes.swapaxes(2, 3))
    model = load(folders.build, FLOAT)
    plan = read_plan(folders.build)
    stored = stored_weights(model, plan, load(folders.build, INT8))
    assert plan.rounded is not None
    write_plan(folders.build, record_rounding(model, plan, stored, plan.rounded.images))


def transposed_half(folders: Folders) -> None:
    edit_initializer(folders.build, HALF, "conv_hr.weight", lambda w: w.swapaxes(0, 1))


def zero_scale(folders: Folders) -> None:
    edit_initializer(
        folders.build, INT8, f"{middle_edge(folders.build)}_scale", lambda scale: scale * 0
    )


def zero_weight_scale(folders: Folders) -> None:
    def one_channel(scale: Array) -> Array:
        scale[1] = 0.0
        return scale

    edit_initializer(folders.build, INT8, "body.0.rdb2.conv3.weight_scale", one_channel)


def zero_point(folders: Folders) -> None:
    edit_initializer(
        folders.build, INT8, f"{middle_edge(folders.build)}_zero_point", lambda point: point + 9
    )


def planned_zero_point(folders: Folders) -> None:
    """The plan has the wrong zero point, and the file follows it."""

    def change(plan: QuantPlan) -> QuantPlan:
        name = middle_edge(folders.build)
        edge = plan.edges[name]
        moved = replace(edge, zero_point=edge.zero_point - 9)
        return replace(plan, edges={**plan.edges, name: moved})

    requantize(folders.build, change)


def low_percentile(folders: Folders, *, announced: bool) -> None:
    """Plan, codes and file made with a percentile of 60."""
    model, old = load(folders.build, FLOAT), read_plan(folders.build)
    table = CalibrationTable.load(folders.build / TABLE)
    options = QuantOptions(percentile=60.0)
    plan = make_plan(model, table, find_profile("ort"), options)
    picture = np.random.default_rng(0).random((1, 3, 128, 128), np.float32)
    rounded = round_weights(model, plan, table, [picture])
    assert old.rounded is not None
    plan = record_rounding(model, plan, rounded, old.rounded.images)
    if announced:
        edit_manifest(folders.build, lambda m: m["options"]["quantization"].update(percentile=60.0))
    else:
        plan = replace(plan, options=old.options)
    store(folders.build, INT8, emit_qdq(model, plan, rounded))
    write_plan(folders.build, plan)


def table_of_another_graph(folders: Folders) -> None:
    for name in (TABLE, ARRAYS):
        (folders.build / name).write_bytes((folders.other / name).read_bytes())
    rehash(folders.build)


def table_of_other_images(folders: Folders) -> None:
    for name in (TABLE, ARRAYS):
        (folders.build / name).write_bytes((folders.elsewhere / name).read_bytes())
    rehash(folders.build)


def fp16_overflow(folders: Folders) -> None:
    """All of a network in fp16 one of whose activations it cannot hold, and nothing announced."""
    model = load(folders.build, FLOAT)
    table = CalibrationTable.load(folders.build / TABLE)
    assert nodes_to_keep(model, table)
    half = _Converter(GraphIndex(divide_where_exact(model)), ()).convert()
    edit_manifest(folders.build, lambda manifest: manifest.update(fp16_kept={}))
    store(folders.build, HALF, half)


def int8_of_another_model(folders: Folders) -> None:
    (folders.build / INT8).write_bytes((folders.other / INT8).read_bytes())
    rehash(folders.build)


def int8_and_plan_of_another_model(folders: Folders) -> None:
    for name in (INT8, PLAN):
        (folders.build / name).write_bytes((folders.other / name).read_bytes())
    rehash(folders.build)


def truncated(name: str, share: float) -> Callable[[Folders], None]:
    def inject(folders: Folders) -> None:
        content = (folders.build / name).read_bytes()
        (folders.build / name).write_bytes(content[: int(len(content) * share)])
        rehash(folders.build)

    return inject


def nan_weight(name: str, initializer: str) -> Callable[[Folders], None]:
    def one_value(value: Array) -> Array:
        value.reshape(-1)[1] = np.nan
        return value

    return lambda folders: edit_initializer(folders.build, name, initializer, one_value)


def edge_left_in_float(folders: Folders) -> None:
    """A pair taken out of the int8 file; its readers get the float tensor."""
    model = load(folders.build, INT8)
    name = middle_edge(folders.build)
    pair = {f"{name}_QuantizeLinear", f"{name}_DequantizeLinear"}
    (quantizer,) = (n for n in model.graph.node if n.name == f"{name}_QuantizeLinear")
    kept = [node for node in model.graph.node if node.name not in pair]
    for node in kept:
        for slot, tensor in enumerate(node.input):
            if tensor == f"{name}_dequantized":
                node.input[slot] = quantizer.input[0]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    store(folders.build, INT8, model)


def weight_left_in_float(folders: Folders) -> None:
    """A convolution of the int8 file gets back its float weight."""
    model = load(folders.build, INT8)
    name = "body.0.rdb2.conv3.weight"
    value = GraphIndex(load(folders.build, FLOAT)).constant(name)
    kept = [node for node in model.graph.node if node.name != f"{name}_DequantizeLinear"]
    for node in kept:
        for slot, tensor in enumerate(node.input):
            if tensor == f"{name}_dequantized":
                node.input[slot] = name
    del model.graph.node[:]
    model.graph.node.extend(kept)
    stale = {f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"}
    initializers = [t for t in model.graph.initializer if t.name not in stale]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*initializers, numpy_helper.from_array(value, name)])
    store(folders.build, INT8, model)


def node_left_in_float(folders: Folders) -> None:
    """A node of the fp16 file computes in float32, and nothing says so."""
    model = load(folders.build, FLOAT)
    table = CalibrationTable.load(folders.build / TABLE)
    node = next(n.name for n in model.graph.node if "rdb2/conv3" in n.name)
    store(folders.build, HALF, to_fp16(model, table, keep=[node]))


FAULTS = (
    Fault("BGR at the input of int8", swapped_channels(INT8, "_half"), INT8, "channels swapped"),
    Fault("BGR at the output of fp16", swapped_output(HALF, "_half"), HALF, "channels swapped"),
    Fault("missing / 255 in float", missing_division(FLOAT), FLOAT, "missing / 255"),
    Fault("missing / 255 in int8", missing_division(INT8), INT8, "missing / 255"),
    Fault("output in 0..255 in fp16", undivided_output, HALF, "missing / 255"),
    Fault("transposed weight in int8", transposed_codes, INT8, "transposed"),
    Fault("transposed weight in fp16", transposed_half, HALF, "transposed"),
    Fault("one zero scale", zero_scale, INT8, "zero scale"),
    Fault("one channel's zero scale", zero_weight_scale, INT8, "zero scale"),
    Fault("wrong zero point", zero_point, INT8, "wrong zero point"),
    Fault("wrong zero point, planned", planned_zero_point, PLAN, "wrong zero point"),
    Fault(
        "percentile far too low, hidden",
        lambda folders: low_percentile(folders, announced=False),
        INT8,
        "percentile too low",
    ),
    Fault(
        "percentile far too low, asked for",
        lambda folders: low_percentile(folders, announced=True),
        INT8,
        "percentile 60 is far too low",
    ),
    Fault("table of another graph", table_of_another_graph, TABLE, "stale calibration table"),
    Fault("table of other images", table_of_other_images, PLAN, "stale: the plan was made from"),
    Fault("int8 file of another model", int8_of_another_model, INT8, "weights of another model"),
    Fault(
        "int8 file and plan of another model",
        int8_and_plan_of_another_model,
        PLAN,
        "plan of another model",
    ),
    Fault("truncated float file", truncated(FLOAT, 0.5), FLOAT, "truncated or damaged"),
    Fault("truncated fp16 file", truncated(HALF, 0.9), HALF, "truncated or damaged"),
    Fault("truncated int8 file", truncated(INT8, 0.2), INT8, "truncated or damaged"),
    Fault("truncated table", truncated(ARRAYS, 0.5), TABLE, "truncated or damaged"),
    Fault("NaN in a float weight", nan_weight(FLOAT, "conv_hr.weight"), FLOAT, "NaN"),
    Fault("NaN in an fp16 weight", nan_weight(HALF, "conv_hr.weight"), HALF, "NaN"),
    Fault("NaN in an int8 scale", nan_weight(INT8, "body.0.rdb2.conv3.weight_scale"), INT8, "NaN"),
    Fault("edge left in float", edge_left_in_float, INT8, "left in float unannounced"),
    Fault("weight left in float", weight_left_in_float, INT8, "left in float unannounced"),
    Fault("node left in float", node_left_in_float, HALF, "left in float32 unannounced"),
)
"""Faults of single files. An fp16 overflow needs a network that has one: :func:`fp16_overflow`."""
