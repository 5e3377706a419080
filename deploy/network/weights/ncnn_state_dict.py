"""Turn ncnn layers with weights into the torch state dict of the generator they form.

The layers carry no module names, so names come from the graph: starting at the input blob the
walk follows the generator's formula (see ``deploy/network/torch_modules.py``) and asks at each
step for the one layer that applies the next operation to the blobs at hand. Block and layer
counts are found on the way. A step without such a layer, or a layer that no step used, means
another network and is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from calib.arrays import Float32
from deploy.ncnn.read import Layer
from deploy.network.architecture import DENSE_BLOCKS, DENSE_CONVOLUTIONS, SRVGGActivation
from deploy.network.weights.ncnn_matching import NcnnGraph


@dataclass(frozen=True)
class NcnnNetwork:
    """What an ncnn pair says of a generator.

    Attributes:
        tensors: float32 arrays by state dict key, such as ``body.0.rdb1.conv1.weight``.
        activation: of an SRVGGNetCompact; ``None`` for an RRDBNet, which has but one.
    """

    tensors: Mapping[str, Float32] = field(repr=False)
    activation: SRVGGActivation | None = None


def ncnn_network(layers: Sequence[Layer], source: str) -> NcnnNetwork:
    """Name the weights as the torch module does.

    Args:
        layers: a whole net, as ``attach_weights`` returns it.
        source: file name for messages.

    Raises:
        WeightsError: the layers form neither an RRDBNet nor an SRVGGNetCompact.
    """
    graph = NcnnGraph(layers, source)
    activation: SRVGGActivation | None = None
    if any(layer.kind in {"PixelShuffle", "PReLU"} for layer in layers):
        output, activation = _walk_srvgg(graph)
    else:
        output = _walk_rrdbnet(graph)
    graph.require_finished(graph.clip(output))
    return NcnnNetwork(graph.tensors, activation)


def _walk_rrdbnet(graph: NcnnGraph) -> str:
    x = graph.unshuffle(graph.input)
    features = graph.convolution(x, "conv_first")
    trunk = features
    block = 0
    while graph.begins_dense_block(trunk):
        trunk = _walk_block(graph, trunk, f"body.{block}")
        block += 1
    trunk = graph.sum(features, graph.convolution(trunk, "conv_body"))
    upsamplings = 0
    while graph.has("Interp", trunk):
        upsamplings += 1
        trunk = graph.leaky_convolution(graph.nearest(trunk, 2), f"conv_up{upsamplings}")
    return graph.last_convolution(graph.leaky_convolution(trunk, "conv_hr"), "conv_last")


def _walk_block(graph: NcnnGraph, x: str, name: str) -> str:
    inner = x
    for index in range(1, DENSE_BLOCKS + 1):
        inner = _walk_dense_block(graph, inner, f"{name}.rdb{index}")
    return graph.residual(inner, x)


def _walk_dense_block(graph: NcnnGraph, x: str, name: str) -> str:
    seen = [x]
    for index in range(1, DENSE_CONVOLUTIONS):
        joined = graph.concat(seen) if len(seen) > 1 else x
        seen.append(graph.leaky_convolution(joined, f"{name}.conv{index}"))
    return graph.residual(graph.convolution(graph.concat(seen), f"{name}.conv{len(seen)}"), x)


def _walk_srvgg(graph: NcnnGraph) -> tuple[str, SRVGGActivation | None]:
    trunk, first = graph.input, None
    for index in count(step=2):
        trunk, activation = graph.activated_convolution(trunk, f"body.{index}")
        if activation is None and graph.has("PReLU", trunk):
            trunk, activation = graph.prelu(trunk, f"body.{index + 1}"), "prelu"
        if activation is None:
            break
        first = first or activation
        graph.require_alike(first, activation, f"body.{index}")
    if not graph.has("PixelShuffle", trunk):  # nothing to shuffle and to enlarge at x1
        return graph.sum(trunk, graph.input), first
    details, scale = graph.pixel_shuffle(trunk)
    return graph.sum(details, graph.nearest(graph.input, scale)), first
