"""Turn ncnn layers with weights into the torch state dict of the generator they form.

The layers carry no module names, so names come from the graph: starting at the input blob the
walk follows the generator's formula (see ``deploy/network/torch_modules.py``) and asks at each
step for the one layer that applies the next operation to the blobs at hand. Block and layer
counts are found on the way. A step without such a layer, or a layer that no step used, means
another network and is refused.
"""

from collections.abc import Sequence

from calib.arrays import Float32
from deploy.ncnn.read import Layer
from deploy.network.architecture import DENSE_BLOCKS, DENSE_CONVOLUTIONS
from deploy.network.weights.ncnn_matching import NcnnGraph


def state_dict(layers: Sequence[Layer], source: str) -> dict[str, Float32]:
    """Name the weights as the torch module does.

    Args:
        layers: a whole net, as ``attach_weights`` returns it.
        source: file name for messages.

    Returns:
        float32 arrays by state dict key, such as ``body.0.rdb1.conv1.weight``.

    Raises:
        WeightsError: the layers form neither an RRDBNet nor an SRVGGNetCompact.
    """
    graph = NcnnGraph(layers, source)
    if any(layer.kind == "PReLU" for layer in layers):
        output = _walk_srvgg(graph)
    else:
        output = _walk_rrdbnet(graph)
    graph.require_finished(output)
    return graph.tensors


def _walk_rrdbnet(graph: NcnnGraph) -> str:
    x = graph.input
    features = graph.convolution(x, "conv_first")
    trunk = features
    block = 0
    while graph.has_activated_convolution(trunk):
        trunk = _walk_block(graph, trunk, f"body.{block}")
        block += 1
    trunk = graph.sum(features, graph.convolution(trunk, "conv_body"))
    trunk = graph.leaky_convolution(graph.nearest(trunk, 2), "conv_up1")
    trunk = graph.leaky_convolution(graph.nearest(trunk, 2), "conv_up2")
    return graph.convolution(graph.leaky_convolution(trunk, "conv_hr"), "conv_last")


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


def _walk_srvgg(graph: NcnnGraph) -> str:
    x = graph.input
    index = 0
    trunk = graph.convolution(x, "body.0")
    while graph.has("PReLU", trunk):
        trunk = graph.prelu(trunk, f"body.{index + 1}")
        index += 2
        trunk = graph.convolution(trunk, f"body.{index}")
    details, scale = graph.pixel_shuffle(trunk)
    return graph.sum(details, graph.nearest(x, scale))
