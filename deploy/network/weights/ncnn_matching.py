"""Find the one ncnn layer that applies an operation to given blobs.

Two spellings of each operation are understood: ncnn's optimized one (activation inside the
Convolution, ``a*x + b*y`` as one Eltwise) and the plain one (ReLU with slope; BinaryOp).

A clip of the picture to [0, 1] at the end, inside the last Convolution or a layer of its own, is
passed over: whoever shows the picture clips it, and the networks here leave that to them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from calib.arrays import Float32
from calib.errors import WeightsError
from deploy.ncnn.read import Layer
from deploy.network.architecture import (
    LEAKY_SLOPE,
    RESIDUAL_SCALE,
    SRVGG_LEAKY_SLOPE,
    SRVGGActivation,
)
from deploy.network.weights.ncnn_layers import (
    clips_to_picture,
    fused_activation,
    is_leaky,
    is_plain_3x3,
    multiplies,
    near,
)

_ELTWISE_SUM = 1
_BINARY_ADD = 0
_NEAREST = 1


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

    def begins_dense_block(self, blob: str) -> bool:
        """Tell whether a Concat reads the blob, as it does a dense block's input."""
        return self.has("Concat", blob)

    def convolution(self, blob: str, name: str) -> str:
        """Follow a Convolution without activation and name its weights."""
        layer = self._named_convolution(blob, name)
        if layer.number(9):
            self._refuse(f"{name} must have no activation", [layer])
        return layer.outputs[0]

    def last_convolution(self, blob: str, name: str) -> str:
        """Follow the Convolution that makes the picture, clipped to [0, 1] or not."""
        layer = self._named_convolution(blob, name)
        fused = fused_activation(layer)
        if fused != "none" and not (fused == "clip" and clips_to_picture(layer.numbers(10))):
            self._refuse(f"{name} must have no activation but a clip to [0, 1]", [layer])
        return layer.outputs[0]

    def clip(self, blob: str) -> str:
        """Follow a clip to [0, 1], if there is one."""
        clips = self._layers("Clip", blob)
        if not clips:
            return blob
        fitting = [layer for layer in clips if clips_to_picture((layer.number(0), layer.number(1)))]
        return self._use(fitting, "a clip to [0, 1]", blob).outputs[0]

    def leaky_convolution(self, blob: str, name: str) -> str:
        """Follow a Convolution with LeakyReLU(0.2), fused or apart, and name its weights."""
        layer = self._named_convolution(blob, name)
        output = layer.outputs[0]
        if is_leaky(layer):
            return output
        if layer.number(9):
            self._refuse(f"{name} must have a LeakyReLU of slope {LEAKY_SLOPE}", [layer])
        relus = (relu for relu in self._layers("ReLU", output) if near(relu.number(0), LEAKY_SLOPE))
        return self._use(relus, f"a LeakyReLU of slope {LEAKY_SLOPE} for {name}", output).outputs[0]

    def activated_convolution(self, blob: str, name: str) -> tuple[str, SRVGGActivation | None]:
        """Follow a Convolution of an SRVGGNetCompact and name its weights.

        Returns:
            The blob behind it, and the ReLU or LeakyReLU inside it or behind it; ``None`` where
            there is neither.
        """
        layer = self._named_convolution(blob, name)
        output, fused = layer.outputs[0], fused_activation(layer)
        slopes: tuple[float, ...] = (0.0,) if fused == "relu" else ()
        if fused == "none":
            if not self.has("ReLU", output):
                return output, None
            layer = self._use(self._layers("ReLU", output), f"one ReLU for {name}", output)
            output, slopes = layer.outputs[0], (layer.number(0),)
        elif fused == "leaky_relu":
            slopes = layer.numbers(10)
        known: dict[float, SRVGGActivation] = {0.0: "relu", SRVGG_LEAKY_SLOPE: "leaky_relu"}
        found = [known[s] for s in known if len(slopes) == 1 and near(slopes[0], s)]
        if not found:
            expected = f"PReLU, ReLU or a LeakyReLU of slope {SRVGG_LEAKY_SLOPE}"
            self._refuse(f"{name} must have {expected}", [layer])
        return output, found[0]

    def _named_convolution(self, blob: str, name: str) -> Layer:
        layer = self._use(self._layers("Convolution", blob), f"one Convolution for {name}", blob)
        if layer.weight is None or layer.bias is None or not is_plain_3x3(layer):
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

    def unshuffle(self, blob: str) -> str:
        """Follow a Reorg that gathers pixels as torch's pixel_unshuffle does, if there is one."""
        if not self.has("Reorg", blob):
            return blob
        layers = (layer for layer in self._layers("Reorg", blob) if layer.number(1) == 0)
        return self._use(layers, "one Reorg in channel order", blob).outputs[0]

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
        scaled = [x for x in self._layers("BinaryOp", branch) if multiplies(x, RESIDUAL_SCALE)]
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
        return all(near(f, weights[blob]) for blob, f in zip(reads, factors, strict=True))

    def require_alike(self, first: SRVGGActivation, other: SRVGGActivation, name: str) -> None:
        """Refuse an activation unlike the first; a state dict could not say which stands where."""
        if other != first:
            self._refuse(f"{name} must have {first}, as the first convolution, but has {other}", ())

    def require_finished(self, output: str) -> None:
        """Refuse layers that the generator's formula did not use."""
        behind = self._consumers.get(output, [])
        if [layer.kind for layer in behind] == ["Interp"] and len(self._unused) == 1:
            raise WeightsError(
                f"{self._source} is a generator with a resizing of its picture by "
                f"{behind[0].number(1):g} behind it; only the generator can be built: take the "
                "pair that holds it alone (realesr-animevideov3-x4, where this is -x2 or -x3)"
            )
        if self._unused or self._consumers.get(output):
            self._refuse("every layer must belong to the generator", self._unused.values())
