"""Count the parameters and operations of an architecture or an ONNX graph at one input size.

With a 3x3 convolution's output of ``C`` channels and ``H x W`` pixels from ``D`` channels:

    MACs        9 * C * D * H * W
    bias adds   C * H * W
    activation  C * H * W, where a LeakyReLU, PReLU or ReLU follows

The "flops(G)" of the vendor table (VastAI's model zoo, 653.675 for x4plus and 208.149 for
anime_6B at 128x128) is reproduced to the last digit by

    (MACs + bias adds + activation elements) * 2 / 0.9e9
"""

import math
from dataclasses import dataclass

import onnx

from calib.errors import GraphError
from calib.graph import CONVOLUTIONS, GraphIndex
from deploy.network.architecture import KERNEL, Architecture, tensor_shapes

_COUNTED = CONVOLUTIONS | {"LeakyRelu", "PRelu", "Relu"}


@dataclass(frozen=True)
class Complexity:
    """Size of a network and its work on one input.

    Attributes:
        parameters: weights, biases and PReLU slopes.
        macs: multiply-accumulates of the convolutions, transposed ones too.
        bias_adds: additions of a bias.
        activations: elements through LeakyReLU, PReLU or ReLU.
    """

    parameters: int
    macs: int
    bias_adds: int
    activations: int

    @property
    def vendor_gflops(self) -> float:
        """The figure that the vendor table prints as flops(G)."""
        return (self.macs + self.bias_adds + self.activations) * 2 / 0.9e9


def architecture_complexity(architecture: Architecture, height: int, width: int) -> Complexity:
    """Count from sizes alone.

    Args:
        architecture: sizes of the network.
        height: pixels of the input, a multiple of the network's unshuffle factor.
        width: likewise.

    >>> from deploy.network.known_models import find_model
    >>> x4plus = architecture_complexity(find_model("x4plus").architecture, 128, 128)
    >>> x4plus.parameters, round(x4plus.macs / 1e9, 3), round(x4plus.vendor_gflops, 3)
    (16697987, 293.713, 653.675)
    """
    parameters = sum(math.prod(shape) for shape in tensor_shapes(architecture).values())
    macs = bias_adds = activations = 0
    for convolution in architecture.convolutions():
        pixels = int(convolution.resolution**2 * height * width)
        elements = convolution.outputs * pixels
        macs += KERNEL**2 * convolution.inputs * elements
        bias_adds += elements
        activations += elements if convolution.activation != "none" else 0
    return Complexity(parameters, macs, bias_adds, activations)


def complexity(model: onnx.ModelProto) -> Complexity:
    """Count from a graph with static shapes: float, fp16 or QDQ.

    What a Conv or ConvTranspose takes as weight and bias and a PRelu as slope counts as
    parameters, whether an initializer or a dequantized one; constants such as the scales of a
    Resize do not.

    Raises:
        GraphError: a shape that is needed is not static.
    """
    index = GraphIndex(model)
    macs = bias_adds = activations = 0
    for node in index.nodes:
        if node.op_type not in _COUNTED:
            continue
        elements = _size(index, node.output[0])
        own = [name for name in node.input[1:] if name]
        if node.op_type in CONVOLUTIONS:
            # A Conv multiplies for each value that it makes, its transpose for each that it reads.
            multiplied = elements if node.op_type == "Conv" else _size(index, node.input[0])
            macs += _size(index, own[0]) // _shape(index, own[0])[0] * multiplied
            bias_adds += elements if len(own) > 1 else 0
        else:
            activations += elements
    return Complexity(parameter_count(index), macs, bias_adds, activations)


def parameter_count(index: GraphIndex) -> int:
    """Count what Convs take as weight and bias and PRelus as slope, each once.

    Raises:
        GraphError: the shape of one is not known.
    """
    own = {name for node in index.nodes if node.op_type in _COUNTED for name in node.input[1:]}
    return sum(_size(index, name) for name in own if name)


def _size(index: GraphIndex, tensor: str) -> int:
    return math.prod(_shape(index, tensor))


def _shape(index: GraphIndex, tensor: str) -> tuple[int, ...]:
    shape = index.shape(tensor)
    if not shape or 0 in shape:
        raise GraphError(f"tensor {tensor!r} has shape {shape}; expected a static shape")
    return shape
