"""Put our ranges in the place of those that torchao's observers would see.

An observer stands behind a node of the exported graph. The nodes of an operator come in the order
in which the ONNX file has them, which tells the tensor that each makes. Activations are int8 there
and uint8 in our files: the same steps, and zero points less 128. Weights are int8 in both.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from onnx_as_torch import OnnxAsTorch
from our_ranges import Range, activation_ranges, weight_ranges

OPERATORS = {
    "aten.conv2d.default": "Conv",
    "aten.leaky_relu.default": "LeakyRelu",
    "aten.prelu.default": "PRelu",
    "aten.relu.default": "Relu",
    "aten.cat.default": "Concat",
    "aten.add.Tensor": "Add",
    "aten.mul.Tensor": "Mul",
    "aten.upsample_nearest2d.vec": "Resize",
    "aten.pixel_shuffle.default": "DepthToSpace",
}
LEVELS, LOWEST = 255, -128


def with_ours(prepared: Any, network: OnnxAsTorch, encodings: Path) -> None:
    """Let every observer of a prepared graph give our scale, in place.

    A constant that our file has no range of keeps the toolchain's.

    Args:
        prepared: of ``prepare_pt2e``.
        network: that was exported.
        encodings: the bundle's, of target ``qnn``.

    Raises:
        SystemExit: a tensor has no range of ours, or several that the toolchain joins in one.
    """
    ours: dict[str, list[Range]] = {
        **weight_ranges(encodings),
        **{name: [one] for name, one in activation_ranges(encodings).items()},
    }
    names, taken = tensor_names(prepared, network), dict[Any, tuple[str, list[Range]]]()
    for node in prepared.graph.nodes:
        if node.op != "call_module":
            continue
        (source,), observer = node.args, prepared.get_submodule(node.target)
        name = names.get(source.name)
        if source.op == "get_attr" and name not in ours:
            observer(prepared.get_parameter(source.target))
            continue
        if name is None or name not in ours:
            raise SystemExit(f"XNNPACK quantizes {source.name}; our file has no range of {name}")
        other, ranges = taken.setdefault(observer, (name, ours[name]))
        if ranges != ours[name]:
            raise SystemExit(f"XNNPACK gives {other} and {name} one scale; ours has two")
        give(observer, ours[name])
    print(f"{len(taken)} ranges are ours")


def give(observer: Any, ranges: list[Range]) -> None:
    """Let an observer give the scales and zero points of ranges, whatever it has seen."""
    spans = torch.tensor([high - low for low, high in ranges])
    scales = spans / LEVELS
    lows = torch.tensor([low for low, _ in ranges])
    zeros = (LOWEST - torch.round(lows / scales)).to(torch.int64)
    observer.calculate_qparams = lambda: (scales, zeros)


def tensor_names(prepared: Any, network: OnnxAsTorch) -> dict[str, str]:
    """Return the ONNX tensor that each node of an exported graph makes, by the node's name.

    Raises:
        SystemExit: an operator occurs more or less often than in the ONNX file.
    """
    found = {}
    for node in prepared.graph.nodes:
        if node.op == "placeholder":
            found[node.name] = network.source
    fields = {field: name for name, field in network.weights.items()}
    found |= {n.name: fields[n.target] for n in prepared.graph.nodes if n.target in fields}
    for operator, nodes in _by_operator(prepared):
        outputs = [output for kind, *_, output in network.nodes if kind == operator]
        if len(outputs) != len(nodes):
            raise SystemExit(
                f"exported were {len(nodes)} nodes of the file's {len(outputs)} {operator}"
            )
        found |= dict(zip(nodes, outputs, strict=True))
    return found


def _by_operator(prepared: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of the nodes of each operator, in order."""
    known = [
        (OPERATORS[str(n.target)], n.name)
        for n in prepared.graph.nodes
        if str(n.target) in OPERATORS
    ]
    for operator, group in groupby(sorted(known, key=lambda one: one[0]), lambda one: one[0]):
        yield operator, [name for _, name in group]
