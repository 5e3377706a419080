"""Tell what one ncnn layer computes, from its kind and its numbered parameters."""

from collections import Counter
from collections.abc import Sequence

from calib.errors import WeightsError
from deploy.ncnn.read import Layer
from deploy.network.architecture import LEAKY_SLOPE

_TOLERANCE = 1e-6  # .param files print 2.000000e-01
_BINARY_MULTIPLY = 2
_FUSED = {0: "none", 1: "relu", 2: "leaky_relu", 3: "clip"}
_KNOWN_KINDS = frozenset(
    {
        *("Input", "Split", "Convolution", "ReLU", "PReLU", "Concat", "BinaryOp", "Eltwise"),
        *("Interp", "PixelShuffle", "Reorg", "Clip"),
    }
)


def require_known_layers(layers: Sequence[Layer], source: str) -> None:
    """Refuse a net by the layers that no generator has; its weights are not needed for that.

    Args:
        layers: a whole net, with or without weights.
        source: file name for messages.

    Raises:
        WeightsError: it has such layers.
    """
    foreign = Counter(layer.kind for layer in layers if layer.kind not in _KNOWN_KINDS)
    if foreign:
        named = ", ".join(f"{count} {kind}" for kind, count in foreign.most_common(4))
        raise WeightsError(
            f"{source} is another network, neither an RRDBNet nor an SRVGGNetCompact: found layers "
            f"that these never have ({named})"
        )


def is_plain_3x3(layer: Layer) -> bool:
    """Tell whether a Convolution is 3x3, stride 1, with a padding of 1."""
    # Keys of ncnn's Convolution: 1/11 kernel, 2/12 dilation, 3/13 stride, 4/14/15/16 padding,
    # 7 groups (ConvolutionDepthWise), 8 int8 scales, 18 padding value, 19 dynamic weight.
    expected = {
        1: 3,
        2: 1,
        3: 1,
        4: 1,
        11: 3,
        12: 1,
        13: 1,
        14: 1,
        15: 1,
        16: 1,
        8: 0,
        18: 0,
        19: 0,
    }
    required = {1: 0.0, 4: 0.0}  # ncnn's defaults where they are not the value we need
    return all(
        layer.number(key, required.get(key, value)) == value for key, value in expected.items()
    )


def fused_activation(layer: Layer) -> str:
    """Return what a Convolution does with its sums: none, relu, leaky_relu, clip or other."""
    return _FUSED.get(int(layer.number(9)), "other")


def is_leaky(layer: Layer) -> bool:
    """Tell whether a Convolution has the LeakyReLU of an RRDBNet inside."""
    slopes = layer.numbers(10)
    leaky = fused_activation(layer) == "leaky_relu"
    return leaky and len(slopes) == 1 and near(slopes[0], LEAKY_SLOPE)


def clips_to_picture(bounds: Sequence[float]) -> bool:
    """Tell whether bounds are those of a picture, 0 and 1."""
    return len(bounds) == 2 and near(bounds[0], 0.0) and near(bounds[1], 1.0)


def multiplies(layer: Layer, factor: float) -> bool:
    """Tell whether a BinaryOp multiplies by this number."""
    scalar = layer.number(0) == _BINARY_MULTIPLY and layer.number(1) == 1
    return scalar and near(layer.number(2), factor)


def near(value: float, expected: float) -> bool:
    """Tell whether a printed number stands for another."""
    return abs(value - expected) <= _TOLERANCE
