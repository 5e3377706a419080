"""Enlarge behind the convolution: Resize + Conv as Conv + DepthToSpace + Slice.

A convolution behind a nearest-neighbour enlargement by ``r`` multiplies the same values several
times over. Its phases (quant/numerics/phase_kernels.py) take each value once: one convolution of
the small picture makes all of them as channels, and DepthToSpace puts them side by side,

    Resize -> Conv 3x3 -> act   =   Conv 2x2, r^2 times the channels -> act -> DepthToSpace -> Slice

Phase i of an axis sees x[m-1], x[m] if i < K // 2, else x[m], x[m+1]. One convolution with a
border of zeros has both at hand, at neighbouring places: shifted by s = r - K // 2, output r m + i
is channel (i + s) mod r of place m + (i + s) // r, and the Slice cuts off what lies outside.

With r = 2 and K = 3: 16 multiplications for each pixel of the small picture and pair of channels
instead of 36. An activation goes with the convolution, which a runtime then fuses with it.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from calib.arrays import AnyArray, Float64
from calib.graph import GraphIndex
from quant.numerics.phase_kernels import PhaseWindows, split_phases, two_tap_windows
from quant.passes.lowering.patterns import (
    activation_behind,
    channel_slopes,
    enlargement,
    only_reader,
    square_kernel,
)
from quant.passes.lowering.replace import LeftAlone, Replacement


def find(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield what takes the place of every enlargement that one convolution reads."""
    for node in index.nodes:
        factor = enlargement(index, node)
        if factor is None:
            continue
        convolution = only_reader(index, node.output[0])
        kernel = square_kernel(index, convolution)
        windows = None if kernel is None else two_tap_windows(factor, kernel)
        if convolution is None or windows is None:
            yield LeftAlone(node.name, "no convolution alone reads it, or a kernel too large")
        else:
            yield _phases(index, node, convolution, windows)


def _phases(
    index: GraphIndex, resize: onnx.NodeProto, conv: onnx.NodeProto, windows: PhaseWindows
) -> Replacement:
    factor = len(windows.starts)
    shift = factor - windows.kernel // 2
    activation = activation_behind(index, conv)
    last = conv if activation is None else activation
    constants: dict[str, AnyArray] = {}

    def added(name: str, value: AnyArray) -> str:
        constants[name] = value
        return name

    weight = index.constant(conv.input[1])
    assert weight is not None  # square_kernel
    operands = [resize.input[0], added(f"{conv.input[1]}.phases", _weight(weight, windows, shift))]
    if len(conv.input) > 2 and conv.input[2]:
        bias = index.constant(conv.input[2])
        assert bias is not None
        operands.append(added(f"{conv.input[2]}.phases", np.repeat(bias, factor**2)))
    made, joined = f"{conv.output[0]}_phases", f"{last.output[0]}_joined"
    nodes = [helper.make_node("Conv", operands, [made], conv.name, pads=[1, 1, 1, 1])]
    if activation is not None:
        nodes.append(_activation(index, activation, made, factor, constants))
        made = nodes[-1].output[0]
    nodes.append(
        helper.make_node(
            "DepthToSpace", [made], [joined], f"{resize.name}/join", blocksize=factor, mode="CRD"
        )
    )
    # From the end, so that the constants are the same at any size.
    cut = {"starts": [shift] * 2, "ends": [shift - factor] * 2, "axes": [2, 3]}
    bounds = [added(f"{resize.name}/cut.{key}", np.array(value)) for key, value in cut.items()]
    name = f"{resize.name}/cut"
    nodes.append(helper.make_node("Slice", [joined, *bounds], [last.output[0]], name))
    gone = [resize, conv] if activation is None else [resize, conv, activation]
    return Replacement(gone, nodes, constants)


def _weight(weight: AnyArray, windows: PhaseWindows, shift: int) -> AnyArray:
    """Return float32 ``[O * r^2, I, 2, 2]``, the phases of each channel in DepthToSpace's order."""
    factor = len(windows.starts)
    phases: Float64 = split_phases(weight.astype(np.float64), windows)
    phases = np.roll(phases, shift, axis=(1, 2))  # channel (i + s) mod r holds phase i
    outputs, inputs = weight.shape[:2]
    flat = phases.reshape(outputs * factor**2, inputs, windows.taps, windows.taps)
    return flat.astype(np.float32)


def _activation(
    index: GraphIndex,
    node: onnx.NodeProto,
    tensor: str,
    factor: int,
    constants: dict[str, AnyArray],
) -> onnx.NodeProto:
    """Return the activation for the phases: each has its channel's slope."""
    moved = onnx.NodeProto()
    moved.CopyFrom(node)
    moved.input[0], moved.output[0] = tensor, f"{node.output[0]}_phases"
    slopes = channel_slopes(index, node)
    if slopes is not None:
        name = f"{node.input[1]}.phases"
        constants[name] = np.repeat(slopes, factor**2).reshape(-1, 1, 1)
        moved.input[1] = name
    return moved
