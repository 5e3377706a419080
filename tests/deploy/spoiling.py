"""Ways to spoil a good build, each digest that would give them away recomputed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from calib.graph import GraphIndex
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable
from quant.fp16.convert import to_fp16
from quant.fp16.range import nodes_to_keep
from quant.plan import QuantOptions, QuantPlan
from quant.targets import find_profile
from tests.deploy.builds import (
    ARRAYS,
    FLOAT,
    HALF,
    INT8,
    PLAN,
    TABLE,
    Array,
    edit_initializer,
    edit_manifest,
    load,
    read_plan,
    rehash,
    store,
    write_plan,
)
from tests.quant.by_model import emit_qdq, make_plan, record_rounding, round_weights, stored_weights


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
        edit_manifest(
            folders.build,
            lambda m: m["options"]["targets"]["ort"]["quantization"].update(percentile=60.0),
        )
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
    # A table that saw nothing but zeros.
    quiet = {
        name: TensorStatistics.of(np.zeros((1, len(seen.channel_mean)), np.float32))
        for name, seen in table.tensors.items()
    }
    half = to_fp16(model, replace(table, tensors=quiet))
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
