"""Find the one ncnn layer that applies an operation to given blobs.

Two spellings of each operation are understood: ncnn's optimized one (activation inside the
Convolution, ``a*x + b*y`` as one Eltwise) and the plain one (ReLU with slope; BinaryOp).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from calib.arrays import Float32
from calib.errors import WeightsError
from deploy.ncnn.read import Layer
from deploy.network.architecture import LEAKY_SLOPE, RESIDUAL_SCALE

_TOLERANCE = 1e-6  # .param files print 2.000000e-01
_ELTWISE_SUM = 1
_BINARY_ADD, _BINARY_MULTIPLY = 0, 2
_NEAREST = 1
_FUSED_LEAKY = 2


class NcnnGraph:
    """Layers indexed by what they read; collects weights as layers are recognised.

    Attributes:
        input: the blob that the net starts from.
        tensors: the weights named so far.
    """

    def __init__(self, layers: Sequence[Layer], source: str) -> None:
        self._source = source
        self._alias: dict[str, str] = {}
        self._consumers: dict[str, list[Layer]] = {}
        self._unused: dict[str, Layer] = {}
        self.tensors: dict[str, Float32] = {}
        inputs: list[str] = []
        for layer in layers:
            if layer.kind == "Split":
                self._alias.update(dict.fromkeys(layer.outputs, self._origin(layer.inputs[0])))
            elif layer.kind == "Input":
                inputs += layer.outputs
            else:
                self._unused[layer.name] = layer
                for blob in {self._origin(blob) for blob in layer.inputs}:
                    self._consumers.setdefault(blob, []).append(layer)
        if len(inputs) != 1:
            raise WeightsError(f"{source}: expected one Input layer, found {len(inputs)}")
        self.input = inputs[0]

    def _origin(self, blob: str) -> str:
        return self._alias.get(blob, blob)

    def _reads(self, layer: Layer) -> list[str]:
        return [self._origin(blob) for blob in layer.inputs]

    def _layers(self, kind: str, blob: str) -> list[Layer]:
        return [layer for layer in self._consumers.get(blob, []) if layer.kind == kind]

    def _use(self, candidates: Iterable[Layer], expected: str, blob: str) -> Layer:
        """Return the single candidate and strike it off; refuse none or several."""
        found = list(candidates)
        if len(found) != 1 or len(found[0].outputs) != 1:
            self._refuse(f"behind blob {blob!r} expected {expected}", self._consumers.get(blob, []))
        self._unused.pop(found[0].name, None)
        return found[0]

    def _refuse(self, problem: str, seen: Iterable[Layer]) -> NoReturn:
        listed = [f"{layer.kind} {layer.name}" for layer in seen]
        found = ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
        raise WeightsError(
            f"{self._source} is neither an RRDBNet nor an SRVGGNetCompact generator: {problem}, "
            f"found {found or 'nothing'}"
        )

    def has(self, kind: str, blob: str) -> bool:
        """Tell whether a layer of this kind reads the blob."""
        return bool(self._layers(kind, blob))

    def has_activated_convolution(self, blob: str) -> bool:
        """Tell whether the blob goes through a Convolution and then a LeakyReLU."""
        return any(
            _is_leaky(layer) or self.has("ReLU", layer.outputs[0])
            for layer in self._layers("Convolution", blob)
        )

    def convolution(self, blob: str, name: str) -> str:
        """Follow a Convolution without activation and name its weights."""
        layer = self._named_convolution(blob, name)
        if layer.number(9):
            self._refuse(f"{name} must have no activation", [layer])
        return layer.outputs[0]

    def leaky_convolution(self, blob: str, name: str) -> str:
        """Follow a Convolution with LeakyReLU(0.2), fused or apart, and name its weights."""
        layer = self._named_convolution(blob, name)
        output = layer.outputs[0]
        if _is_leaky(layer):
            return output
        if layer.number(9):
            self._refuse(f"{name} must have a LeakyReLU of slope {LEAKY_SLOPE}", [layer])
        relus = (
            relu for relu in self._layers("ReLU", output) if _near(relu.number(0), LEAKY_SLOPE)
        )
        return self._use(relus, f"a LeakyReLU of slope {LEAKY_SLOPE} for {name}", output).outputs[0]

    def _named_convolution(self, blob: str, name: str) -> Layer:
        layer = self._use(self._layers("Convolution", blob), f"one Convolution for {name}", blob)
        if layer.weight is None or layer.bias is None or not _is_plain_3x3(layer):
            self._refuse(f"{name} must be 3x3, stride 1, padding 1, with bias", [layer])
        self.tensors[f"{name}.weight"] = layer.weight
        self.tensors[f"{name}.bias"] = layer.bias
        return layer

    def prelu(self, blob: str, name: str) -> str:
        """Follow a PReLU and name its slopes."""
        layer = self._use(self._layers("PReLU", blob), f"one PReLU for {name}", blob)
        if layer.weight is not None:
            self.tensors[f"{name}.weight"] = layer.weight
        return layer.outputs[0]

    def concat(self, blobs: Sequence[str]) -> str:
        """Follow the channel Concat of exactly these blobs in this order."""
        layers = (
            layer
            for layer in self._layers("Concat", blobs[-1])
            if self._reads(layer) == list(blobs) and layer.number(0) == 0
        )
        return self._use(layers, f"the Concat of {', '.join(blobs)}", blobs[-1]).outputs[0]

    def nearest(self, blob: str, factor: int) -> str:
        """Follow a nearest-neighbour enlargement by this factor."""
        layers = (
            layer
            for layer in self._layers("Interp", blob)
            if (layer.number(0), layer.number(1), layer.number(2)) == (_NEAREST, factor, factor)
        )
        return self._use(layers, f"nearest-neighbour Interp x{factor}", blob).outputs[0]

    def pixel_shuffle(self, blob: str) -> tuple[str, int]:
        """Follow a PixelShuffle; return its output and its factor."""
        layers = (layer for layer in self._layers("PixelShuffle", blob) if layer.number(1) == 0)
        layer = self._use(layers, "one PixelShuffle", blob)
        return layer.outputs[0], int(layer.number(0))

    def sum(self, first: str, second: str) -> str:
        """Follow ``first + second``, in either order."""
        weights = {first: 1.0, second: 1.0}
        layers = (x for x in self._consumers.get(first, []) if self._adds(x, weights))
        return self._use(layers, f"the sum with {second!r}", first).outputs[0]

    def residual(self, branch: str, skip: str) -> str:
        """Follow ``0.2 * branch + skip``, as one layer or as two."""
        scaled = [x for x in self._layers("BinaryOp", branch) if _multiplies(x, RESIDUAL_SCALE)]
        if scaled:
            return self.sum(self._use(scaled, "one multiplication", branch).outputs[0], skip)
        weights = {branch: RESIDUAL_SCALE, skip: 1.0}
        layers = (x for x in self._consumers.get(branch, []) if self._adds(x, weights))
        expected = f"{RESIDUAL_SCALE} times it plus {skip!r}"
        return self._use(layers, expected, branch).outputs[0]

    def _adds(self, layer: Layer, weights: Mapping[str, float]) -> bool:
        """Tell whether the layer is the weighted sum of exactly these blobs."""
        reads = self._reads(layer)
        if layer.kind == "BinaryOp":
            factors: tuple[float, ...] = (1.0, 1.0)
            adds = layer.number(0) == _BINARY_ADD and not layer.number(1)
        else:
            factors = layer.numbers(1) or (1.0,) * len(reads)
            adds = layer.kind == "Eltwise" and layer.number(0) == _ELTWISE_SUM
        if not adds or sorted(reads) != sorted(weights) or len(factors) != len(reads):
            return False
        return all(_near(f, weights[blob]) for blob, f in zip(reads, factors, strict=True))

    def require_finished(self, output: str) -> None:
        """Refuse layers that the generator's formula did not use."""
        if self._unused or self._consumers.get(output):
            self._refuse("every layer must belong to the generator", self._unused.values())


def _is_plain_3x3(layer: Layer) -> bool:
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


def _is_leaky(layer: Layer) -> bool:
    slopes = layer.numbers(10)
    return layer.number(9) == _FUSED_LEAKY and len(slopes) == 1 and _near(slopes[0], LEAKY_SLOPE)


def _multiplies(layer: Layer, factor: float) -> bool:
    scalar = layer.number(0) == _BINARY_MULTIPLY and layer.number(1) == 1
    return scalar and _near(layer.number(2), factor)


def _near(value: float, expected: float) -> bool:
    return abs(value - expected) <= _TOLERANCE
