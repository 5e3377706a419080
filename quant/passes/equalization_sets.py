"""Find cross-layer equalization sets: channels that can only be rescaled together.

Dividing a channel of a tensor by a positive factor f leaves a network unchanged if everything
that touches the channel either passes f on or absorbs it:

    LeakyRelu, PRelu, Relu     r(x / f) = r(x) / f: positively homogeneous, any slope; negative
                               factors are another matter (quant/passes/reversal.py)
    Resize (nearest), Identity copies values
    Mul by constants           linear, one for all channels or one for each; a residual scale
                               absorbs f instead
    Add, Max                   x / f + y / f = (x + y) / f: both operands carry the same f
    Concat of channels         each channel keeps its f
    Conv                       absorbs it (quant/analysis/scale_absorbers.py)
    anything else, the graph's own inputs and outputs: f = 1

(Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
section 4.1, for pairs of convolutions; here for any wiring.) So every (tensor, channel) is a
variable, every line above an equation between variables, and a connected component, a *class*,
has one free factor. In a dense block each growth channel is a class of its own, and so is each
channel of the branch's end up to its residual scale; the residual trunk has one class per channel,
from the first convolution through all additions to the first convolution behind the upsampling.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from calib.arrays import Bool, Int64
from calib.graph import GraphIndex, attribute_of
from quant.analysis.concats import joins_channels
from quant.analysis.scale_absorbers import can_absorb_scale
from quant.analysis.topology import ACTIVATIONS

_CHANNEL_AXIS = 1
# The variable that stands for the factor 1.
_ONE = np.zeros(1, np.int64)


@dataclass(frozen=True, eq=False)
class ChannelClasses:
    """Which channels share one factor.

    Attributes:
        of: tensor to int64 ``[C]``, the class of each of its channels. Tensors without a channel
            axis or a static shape are not in it.
        pinned: class of the channels whose factor must be 1.
        count: number of classes; they are numbered from 0.
    """

    of: Mapping[str, Int64]
    pinned: int
    count: int

    def free(self, tensor: str) -> Bool:
        """Return bool ``[C]``: which channels of ``tensor`` may be rescaled."""
        found: Bool = self.of.get(tensor, _ONE * self.pinned) != self.pinned
        return found


def channel_classes(index: GraphIndex) -> ChannelClasses:
    """Return the classes of a graph's channels."""
    variables = _variables(index)
    left: list[Int64] = []
    right: list[Int64] = []
    for one, other in _equations(index, variables):
        left.append(one)
        right.append(np.broadcast_to(other, one.shape))
    count = 1 + sum(len(numbers) for numbers in variables.values())
    pairs = (np.concatenate([_ONE, *left]), np.concatenate([_ONE, *right]))
    links = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(count, count))
    classes, labels = connected_components(links, directed=False)
    labels = labels.astype(np.int64)
    of = {tensor: labels[numbers] for tensor, numbers in variables.items()}
    return ChannelClasses(of, int(labels[0]), int(classes))


def _variables(index: GraphIndex) -> dict[str, Int64]:
    """Number the channels of every tensor from 1; 0 is the factor 1."""
    made = [name for node in index.nodes for name in node.output if name]
    variables: dict[str, Int64] = {}
    first = 1
    for tensor in (*index.inputs, *made):
        shape = index.shape(tensor)
        if shape is None or len(shape) <= _CHANNEL_AXIS or index.is_constant(tensor):
            continue
        variables[tensor] = np.arange(first, first + shape[_CHANNEL_AXIS])
        first += shape[_CHANNEL_AXIS]
    return variables


def _equations(index: GraphIndex, variables: Mapping[str, Int64]) -> Iterator[tuple[Int64, Int64]]:
    for tensor in (*index.inputs, *index.outputs):
        if tensor in variables:
            yield variables[tensor], _ONE
    for node in index.nodes:
        if can_absorb_scale(index, node):
            continue
        passed = _passed_through(index, node, variables)
        if passed is None:
            touched = [variables[name] for name in (*node.input, *node.output) if name in variables]
            yield from ((numbers, _ONE) for numbers in touched)
        else:
            yield from ((numbers, variables[node.output[0]]) for numbers in passed)


def _passed_through(
    index: GraphIndex, node: onnx.NodeProto, variables: Mapping[str, Int64]
) -> list[Int64] | None:
    """Return what equals the output's variables, or ``None`` where nothing passes through."""
    moving = [name for name in node.input if name and not index.is_constant(name)]
    constants = [index.constant(name) for name in node.input if name and index.is_constant(name)]
    if not moving or any(name not in variables for name in (*moving, *node.output)):
        return None
    numbers = [variables[name] for name in moving]
    if node.op_type == "Concat":
        whole = joins_channels(index, node) and not constants
        return [np.concatenate(numbers)] if whole else None
    if not _keeps_channels(node, operands=len(moving), constants=constants):
        return None
    shapes = [index.shape(name) or () for name in (*moving, node.output[0])]
    same = len({(len(shape), shape[_CHANNEL_AXIS]) for shape in shapes}) == 1
    return numbers if same else None


def _keeps_channels(
    node: onnx.NodeProto, *, operands: int, constants: list[npt.NDArray[np.generic] | None]
) -> bool:
    """Tell whether ``node`` maps each channel to itself and passes a positive factor through."""
    if node.op_type in {"Add", "Max"}:
        return operands == 2
    if operands != 1:
        return False
    if node.op_type == "Mul":
        return all(value is not None and _by_channel(value) for value in constants)
    if node.op_type == "Resize":
        # Cropping fills the outside with a constant, which has no factor.
        crops = attribute_of(node, "coordinate_transformation_mode", b"") == b"tf_crop_and_resize"
        return attribute_of(node, "mode", b"nearest") == b"nearest" and not crops
    return node.op_type in ACTIVATIONS or node.op_type == "Identity"


def _by_channel(value: npt.NDArray[np.generic]) -> bool:
    """Tell whether a constant beside a picture is one number for each channel, or for all."""
    return value.size == 1 or (value.ndim in {3, 4} and value.shape[-2:] == (1, 1))
