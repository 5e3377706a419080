"""Find the skips of residual blocks that the convolution at the end of the block can take up.

    x + (W u + b)  =  (W + I) u + b        where x is among the channels of u

In a dense block u joins x with the growth tensors (Wang et al., "ESRGAN", 2018, arXiv:1809.00219),
so the convolution reads x already. I has a one at the middle of the kernel, from each channel of x
to the same channel of the output (Ding et al., "RepVGG", 2021, arXiv:2101.03697, section 3.3).
"""

from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import AnyArray, Float64
from calib.graph import GraphIndex, attribute_of
from quant.analysis.concats import joins_channels
from quant.analysis.scale_absorbers import convolution_can_absorb_scale


@dataclass(frozen=True, eq=False)
class ResidualSkip:
    """An addition of a convolution's output, which nothing else reads, to what it was made of.

    Attributes:
        node: the addition; its output is no output of the graph.
        convolution: the node before it, which can_absorb_scale.
        weight: float32 ``[O,I,kH,kW]``, of the convolution.
        offset: the first of the convolution's input channels that is added.
    """

    node: onnx.NodeProto
    convolution: onnx.NodeProto
    weight: AnyArray
    offset: int

    @property
    def output(self) -> str:
        """The addition's output."""
        return self.node.output[0]

    def folded_weight(self) -> Float64:
        """Return the weight with the skip, float64 ``[O,I,kH,kW]``."""
        folded = self.weight.astype(np.float64)
        outputs = np.arange(len(folded))
        middle = tuple(size // 2 for size in folded.shape[2:])
        place = outputs, self.offset + outputs, *middle
        folded[place] += 1.0
        return folded

    def coarser(self) -> float:
        """Return how much coarser the steps of the weight get: the mean (geometric) of its rows."""
        before, after = (
            np.abs(value).reshape(len(value), -1).max(axis=1)
            for value in (self.weight.astype(np.float64), self.folded_weight())
        )
        ratios = np.divide(after, before, out=np.full_like(after, np.inf), where=before > 0.0)
        with np.errstate(divide="ignore"):
            return float(np.exp(np.log(ratios).mean()))


def residual_skip(index: GraphIndex, node: onnx.NodeProto) -> ResidualSkip | None:
    """Return what ``node`` adds to what, if a convolution can take it up."""
    if node.op_type != "Add" or node.output[0] in index.outputs:
        return None
    for branch, skip in (tuple(node.input), tuple(reversed(node.input))):
        convolution = index.producer(branch)
        if convolution is None or not convolution_can_absorb_scale(index, convolution):
            continue
        alone = branch not in index.outputs and len(index.consumers(branch)) == 1
        weight = index.initializer(convolution.input[1])
        assert weight is not None  # it can absorb a scale
        offset = _offset(index, convolution.input[0], skip)
        same = index.shape(branch) is not None and index.shape(branch) == index.shape(skip)
        if alone and same and offset is not None and _keeps_places(convolution, weight):
            return ResidualSkip(node, convolution, weight, offset)
    return None


def residual_skips(index: GraphIndex) -> tuple[ResidualSkip, ...]:
    """Return all such skips of a graph, in graph order."""
    found = (residual_skip(index, node) for node in index.nodes)
    return tuple(skip for skip in found if skip is not None)


def _offset(index: GraphIndex, read: str, tensor: str) -> int | None:
    """Return where the channels of a tensor begin in what is read, ``None`` if they are not there.

    Args:
        index: the graph.
        read: the tensor itself or what a Concat of channels joins it with.
        tensor: name.
    """
    if read == tensor:
        return 0
    node = index.producer(read)
    if node is None or not joins_channels(index, node):
        return None
    first = 0
    for name in node.input:
        if name == tensor:
            return first
        shape = index.shape(name)
        if shape is None:
            return None
        first += shape[1]
    return None


def _keeps_places(convolution: onnx.NodeProto, weight: AnyArray) -> bool:
    """Tell whether the middle of the kernel lies on the pixel that is written."""
    size = weight.shape[2:]
    axes = len(size)
    strides = attribute_of(convolution, "strides", [1] * axes)
    dilations = attribute_of(convolution, "dilations", [1] * axes)
    reach = [(side // 2) * wide for side, wide in zip(size, dilations, strict=True)]
    pads = list(attribute_of(convolution, "pads", [0] * 2 * axes))
    return (
        all(side % 2 for side in size)
        and all(stride == 1 for stride in strides)
        and attribute_of(convolution, "auto_pad", b"NOTSET") == b"NOTSET"
        and pads == reach * 2
    )
