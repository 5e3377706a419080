"""Enlarge before the convolution: Conv + DepthToSpace as Resize + Conv, where it is that.

The other way round of quant/passes/lowering/resize_phases.py, for chips without DepthToSpace and
networks that were written in phases. It can be done where the channels of a convolution hold the
phases of one kernel on the enlarged picture (quant/numerics/phase_kernels.py); a pixel shuffle of
channels learned one by one, such as an SRVGGNetCompact's, has no such kernel and stays.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from calib.arrays import AnyArray, Float64
from calib.graph import GraphIndex, attribute_of
from quant.numerics.phase_kernels import PhaseWindows, join_phases
from quant.passes.lowering.patterns import only_reader
from quant.passes.lowering.replace import LeftAlone, Replacement

_KERNELS = (1, 3, 5)


def find(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield what takes the place of every DepthToSpace that joins phases."""
    for node in index.nodes:
        if node.op_type == "DepthToSpace" and attribute_of(node, "blocksize", 1) > 1:
            found = _enlarged(index, node)
            yield LeftAlone(node.name, found) if isinstance(found, str) else found


def _enlarged(index: GraphIndex, shuffle: onnx.NodeProto) -> Replacement | str:
    """Return what takes a DepthToSpace's place, or why nothing does."""
    before = index.producer(shuffle.input[0])
    activation = before if before is not None and before.op_type in {"LeakyRelu", "Relu"} else None
    conv = before if activation is None else index.producer(activation.input[0])
    if conv is None or conv.op_type != "Conv" or not index.is_constant(conv.input[1]):
        return "no convolution lies before it"
    between = [conv] if activation is None else [conv, activation]
    if any(only_reader(index, node.output[0]) is None for node in between):
        return "something else reads what it joins"
    factor = int(attribute_of(shuffle, "blocksize", 0))
    cut = only_reader(index, shuffle.output[0])
    cut = cut if cut is not None and cut.op_type == "Slice" else None
    shift = 0 if cut is None else _shift(index, cut, factor)
    weight = index.constant(conv.input[1])
    pads = list(attribute_of(conv, "pads", [0] * 4))
    if weight is None or shift is None or not _looks_around(conv, weight, pads):
        return "its convolution is no plain one"
    bias = index.constant(conv.input[2]) if len(conv.input) > 2 and conv.input[2] else None
    if bias is None:
        bias = np.zeros(len(weight), np.float32)
    mode = attribute_of(shuffle, "mode", b"DCR")
    phases = _by_phase(weight.astype(np.float64), factor, mode, shift)
    biases = _by_phase(bias.astype(np.float64), factor, mode, shift)
    starts = tuple((phase + shift) // factor - pads[0] for phase in range(factor))
    tried = [PhaseWindows(kernel, starts, weight.shape[2]) for kernel in _KERNELS]
    joined = join_phases(phases, [windows for windows in tried if windows.complete])
    if joined is None or np.ptp(biases, axis=(1, 2)).any():
        return "its channels are no phases of one kernel"
    return _nodes(
        [*between, shuffle, *([] if cut is None else [cut])], joined, biases[:, 0, 0], factor
    )


def _looks_around(conv: onnx.NodeProto, weight: AnyArray, pads: list[int]) -> bool:
    plain = attribute_of(conv, "group", 1) == 1 and len(set(pads)) == 1
    spread = [*attribute_of(conv, "strides", [1, 1]), *attribute_of(conv, "dilations", [1, 1])]
    return plain and set(spread) == {1} and weight.ndim == 4 and weight.shape[2] == weight.shape[3]


def _shift(index: GraphIndex, cut: onnx.NodeProto, factor: int) -> int | None:
    """Return how many rows and columns a Slice cuts off at the top, of ``factor`` in all."""
    values = [index.constant(name) for name in cut.input[1:]]
    stated = [[] if value is None else value.tolist() for value in values]
    if len(stated) != 3 or stated[2] != [2, 3] or not stated[0]:
        return None
    shift = int(stated[0][0])
    expected = [[shift] * 2, [shift - factor] * 2]
    return shift if stated[:2] == expected and 0 < shift < factor else None


def _by_phase(values: Float64, factor: int, mode: bytes, shift: int) -> Float64:
    """Return channels ``[O * r^2, ...]`` as ``[O, phase, phase, ...]``."""
    rest = values.shape[1:]
    if mode == b"CRD":
        apart = values.reshape(-1, factor, factor, *rest)
    else:
        apart = np.moveaxis(values.reshape(factor, factor, -1, *rest), 2, 0)
    return np.roll(apart, -shift, axis=(1, 2))


def _nodes(gone: list[onnx.NodeProto], weight: Float64, bias: Float64, factor: int) -> Replacement:
    conv, output = gone[0], gone[-1].output[0]
    shuffle = next(node for node in gone if node.op_type == "DepthToSpace")
    activation = next((node for node in gone if node.op_type in {"LeakyRelu", "Relu"}), None)
    around = [weight.shape[2] // 2] * 4
    large = f"{shuffle.output[0]}_enlarged"
    constants: dict[str, AnyArray] = {
        f"{shuffle.name}.scales": np.array([1, 1, factor, factor], np.float32),
        f"{conv.input[1]}.joined": weight.astype(np.float32),
        f"{conv.name}.bias_joined": bias.astype(np.float32),
    }
    scales, *operands = constants
    made = output if activation is None else f"{conv.output[0]}_joined"
    nodes = [
        helper.make_node(
            "Resize",
            [conv.input[0], "", scales],
            [large],
            f"{shuffle.name}/enlarge",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Conv", [large, *operands], [made], conv.name, pads=around),
    ]
    if activation is not None:
        behind = onnx.NodeProto()
        behind.CopyFrom(activation)
        behind.input[0], behind.output[0] = made, output
        nodes.append(behind)
    return Replacement(gone, nodes, constants)
