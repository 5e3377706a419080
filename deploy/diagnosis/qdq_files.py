"""Name how a QDQ or fp16 file differs from the model that it should hold.

``deploy/verify/reproduce.py`` says *where* two models differ; this says *what* was done, for what
people and tools are known to do to a QDQ or fp16 file.
"""

from collections.abc import Iterator

import numpy as np
import onnx

from calib.arrays import AnyArray
from calib.graph import QDQ_PAIR, GraphIndex
from deploy.diagnosis.weights import convolution_weights, weight_faults

_FLOAT = onnx.TensorProto.FLOAT
_FLOATS: dict[int, str] = {_FLOAT: "float32", onnx.TensorProto.FLOAT16: "fp16"}


def model_faults(expected: onnx.ModelProto, found: onnx.ModelProto) -> list[str]:
    """Name what was done to a model, one line per fault, the gravest kind first.

    Args:
        expected: the model made again.
        found: the model in the file; valid ONNX.

    Returns:
        No line for models that differ in ways that have no name.
    """
    index, other = GraphIndex(expected), GraphIndex(found)
    return [
        *weight_faults(convolution_weights(expected), convolution_weights(found)),
        *_parameter_faults(index, other),
        *_left_in_float(index, other),
        *_precision_faults(index, other),
    ]


def _parameter_faults(expected: GraphIndex, found: GraphIndex) -> Iterator[str]:
    """Name scales and zero points that differ, each initializer once."""
    nodes = {node.name: node for node in found.nodes}
    told: set[str] = set()
    for node in expected.nodes:
        twin = nodes.get(node.name)
        if node.op_type not in QDQ_PAIR or twin is None or twin.op_type != node.op_type:
            continue
        for slot, what in ((1, "scale"), (2, "zero point")):
            wanted, seen = (
                index.constant(of.input[slot]) if len(of.input) > slot else None
                for index, of in ((expected, node), (found, twin))
            )
            name = node.input[slot] if len(node.input) > slot else ""
            if wanted is None or seen is None or name in told or np.array_equal(wanted, seen):
                continue
            told.add(name)
            yield _parameter_fault(what, name, wanted, seen)


def _parameter_fault(what: str, name: str, wanted: AnyArray, seen: AnyArray) -> str:
    kind = "zero scale" if what == "scale" and not seen.all() else f"wrong {what}"
    if wanted.shape != seen.shape or wanted.dtype != seen.dtype:
        return (
            f"{kind} {name}: {seen.dtype}{list(seen.shape)}, expected "
            f"{wanted.dtype}{list(wanted.shape)}"
        )
    at = int(np.flatnonzero(np.atleast_1d(wanted != seen).reshape(-1))[0])
    one, other = wanted.reshape(-1)[at], seen.reshape(-1)[at]
    place = f" of channel {at}" if wanted.size > 1 else ""
    return f"{kind} {name}: {other:.6g}{place}, expected {one:.6g}"


def _left_in_float(expected: GraphIndex, found: GraphIndex) -> Iterator[str]:
    """Name tensors that should be quantized and are not."""
    present = {node.name for node in found.nodes if node.op_type in QDQ_PAIR}
    told: set[str] = set()
    for node in expected.nodes:
        if node.op_type not in QDQ_PAIR or node.name in present:
            continue
        codes = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
        if codes not in told:
            told.add(codes)
            tensor = codes.removesuffix("_quantized")
            yield f"tensor {tensor} is left in float unannounced: the plan quantizes it"


def _precision_faults(expected: GraphIndex, found: GraphIndex) -> Iterator[str]:
    """Name nodes that compute in another floating-point type than they should."""
    nodes = {node.name: node for node in found.nodes}
    for node in expected.nodes:
        twin = nodes.get(node.name)
        if twin is None or node.op_type in QDQ_PAIR or node.op_type == "Cast":
            continue
        wanted, seen = (
            index.element_type(of.output[0]) for index, of in ((expected, node), (found, twin))
        )
        if wanted != seen and {wanted, seen} <= set(_FLOATS):
            what = "is left in float32 unannounced" if seen == _FLOAT else "computes in fp16"
            yield f"node {node.name} {what}, expected {_FLOATS[wanted]}"
