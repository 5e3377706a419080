"""Inspect ONNX files as a deployment engineer would: ends, operators, precision, size, cost.

The precision of a node is read from the graph, not from its file name: a data input that comes
out of a DequantizeLinear counts with the integer type that went in, an output that only
QuantizeLinear reads counts with the type that comes out, everything else with its own type.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from calib.form import Form
from calib.graph import GraphIndex, form_of
from deploy.artifacts.files import MANIFEST_NAME, main_opset
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.onnx_files import read_model
from deploy.network.macs import Complexity, complexity, parameter_count
from quant.qdq.int8_share import Int8Share, int8_share
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_CARRIERS = frozenset({QUANTIZE, DEQUANTIZE, "Cast"})


@dataclass(frozen=True)
class GraphEnd:
    """One input or output of a graph.

    Attributes:
        name: of the tensor.
        dtype: its element type, such as ``float32``.
        shape: its dimensions; a string is the name of one that is not fixed.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        """Return it in one line.

        >>> str(GraphEnd("input", "float32", (1, 3, "height", 128)))
        'input  float32 [1, 3, height, 128]'
        """
        return f"{self.name}  {self.kind}"

    @property
    def kind(self) -> str:
        """Type and shape in one line."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class NodePrecision:
    """What one node computes with.

    Attributes:
        name: of the node.
        op_type: its operator.
        inputs: element type of each data input as stored, such as ``uint8``.
        output: element type of the first output as stored.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    output: str

    @property
    def kind(self) -> str:
        """The types in one word, such as ``uint8 x int8 x int32 -> uint8``."""
        return f"{' x '.join(self.inputs)} -> {self.output}"


@dataclass(frozen=True)
class QuantizedRange:
    """The interval that one QuantizeLinear can represent.

    Attributes:
        tensor: what is quantized.
        dtype: integer type of the quantized values.
        scale: width of one step, in the tensor's unit.
        zero_point: quantized value of 0.0.
        low: smallest value that survives.
        high: largest value that survives.
    """

    tensor: str
    dtype: str
    scale: float
    zero_point: int
    low: float
    high: float


@dataclass(frozen=True)
class Inspection:
    """What is to be said of one ONNX file.

    Attributes:
        path: of the file, as given.
        sha256: digest of its content.
        size_bytes: its length.
        float_bytes: length of the float model of the same build; ``None`` where no manifest beside
            the file names it.
        opset: version of the ``ai.onnx`` operator set.
        inputs: what the graph takes, without its constants.
        outputs: what it gives.
        form: how it takes and gives pictures, by its metadata.
        share: which of its convolutions compute in integers.
        operators: how often each operator occurs.
        nodes: precision of every node that computes (no quantization, no casts).
        ranges: what each QuantizeLinear of an activation can represent.
        parameters: how many weights, biases and slopes it has.
        cost: its operations on one input; ``None`` where an input is dynamic.
        saturable: integer convolutions that a CPU without VNNI may saturate at 16 bits.
    """

    path: str
    sha256: str
    size_bytes: int
    float_bytes: int | None
    opset: int
    inputs: tuple[GraphEnd, ...]
    outputs: tuple[GraphEnd, ...]
    form: Form
    share: Int8Share
    operators: dict[str, int]
    nodes: tuple[NodePrecision, ...]
    ranges: tuple[QuantizedRange, ...]
    parameters: int
    cost: Complexity | None
    saturable: tuple[str, ...]

    @cached_property
    def kinds(self) -> dict[tuple[str, str], int]:
        """How many nodes there are of each operator and precision, most frequent first."""
        return dict(Counter((node.op_type, node.kind) for node in self.nodes).most_common())

    @property
    def share_text(self) -> str:
        """How many convolutions are in int8, with sizes and work where they are known."""
        text = str(self.share)
        if self.float_bytes is not None:
            text = self.share.of_size(self.size_bytes, self.float_bytes)
        if self.share.macs:
            part = self.share.integer_macs / self.share.macs
            text += f", {100 * part:.1f} % of the multiply-accumulates in integers"
        return text

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "file": self.path,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "float_bytes": self.float_bytes,
            "opset": self.opset,
            "inputs": [asdict(end) for end in self.inputs],
            "outputs": [asdict(end) for end in self.outputs],
            "form": asdict(self.form),
            "convolutions": {
                "count": len(self.share.convolutions),
                "int8": len(self.share.integer),
                "int8_with_16_bit_activations": len(self.share.wide),
                "macs": self.share.macs,
                "int8_macs": self.share.integer_macs,
            },
            "operators": self.operators,
            "precision": [
                {"operator": operator, "inputs_output": kind, "nodes": count}
                for (operator, kind), count in self.kinds.items()
            ],
            "nodes": [
                {"node": node.name, "operator": node.op_type, "inputs_output": node.kind}
                for node in self.nodes
            ],
            "ranges": [asdict(item) for item in self.ranges],
            "parameters": self.parameters,
            "cost": None if self.cost is None else asdict(self.cost),
            "saturable": list(self.saturable),
        }


def inspect_file(path: Path) -> Inspection:
    """Read an ONNX file and say what is in it.

    Raises:
        GraphError: the file is missing, or is no ONNX model.
    """
    model = read_model(path)
    index = GraphIndex(model)
    view = QdqView(index)
    graph = model.graph
    types = _element_types(model)
    nodes = tuple(
        _node_precision(node, index, types) for node in index.nodes if node.op_type not in _CARRIERS
    )
    return Inspection(
        path=str(path),
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        float_bytes=_float_bytes(path),
        opset=main_opset(model),
        inputs=tuple(_end(value) for value in graph.input if value.name in index.inputs),
        outputs=tuple(_end(value) for value in graph.output),
        form=form_of(model),
        share=int8_share(view),
        operators=dict(Counter(node.op_type for node in index.nodes).most_common()),
        nodes=nodes,
        ranges=tuple(_ranges(index)),
        parameters=parameter_count(index),
        cost=complexity(model) if all(index.shape(name) for name in index.inputs) else None,
        saturable=saturable_convolutions(view),
    )


def models_of(folder: Path) -> tuple[Path, ...]:
    """Return the ONNX files in a folder and those below it, sorted.

    Raises:
        UsageError: there is none.
    """
    models = sorted(folder.rglob("*.onnx"))  # those in a hidden folder are no finished build's
    found = tuple(path for path in models if "/." not in f"/{path.relative_to(folder).as_posix()}")
    if not found:
        raise UsageError(f"found no .onnx file in the folder {folder}; name a file, or a build")
    return found


def _end(value: onnx.ValueInfoProto) -> GraphEnd:
    kind = value.type.tensor_type
    dims = (dim.dim_value or dim.dim_param or "?" for dim in kind.shape.dim)
    return GraphEnd(value.name, _type_name(kind.elem_type), tuple(dims))


def _float_bytes(path: Path) -> int | None:
    """Return the size of the float model of the build that a file belongs to."""
    try:
        manifest = read_manifest(path.parent / MANIFEST_NAME)
        float_bytes = manifest.float_artifact.size_bytes
    except VerificationError:  # no build, or a broken one: "verify" says so
        return None
    return float_bytes if any(item.path == path.name for item in manifest.models()) else None


def _element_types(model: onnx.ModelProto) -> dict[str, str]:
    graph = model.graph
    types = {tensor.name: _type_name(tensor.data_type) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = _type_name(value.type.tensor_type.elem_type)
    return types


def _type_name(elem_type: int) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type))


def _node_precision(
    node: onnx.NodeProto, index: GraphIndex, types: dict[str, str]
) -> NodePrecision:
    inputs = tuple(_stored_type(name, index, types) for name in node.input if name)
    readers = index.consumers(node.output[0])
    quantized = bool(readers) and all(reader.op_type == QUANTIZE for reader in readers)
    stored = readers[0].output[0] if quantized else node.output[0]
    return NodePrecision(node.name, node.op_type, inputs, types.get(stored, "unknown"))


def _stored_type(tensor: str, index: GraphIndex, types: dict[str, str]) -> str:
    producer = index.producer(tensor)
    if producer is not None and producer.op_type == DEQUANTIZE:
        return types.get(producer.input[0], "unknown")
    return types.get(tensor, "unknown")


def _ranges(index: GraphIndex) -> list[QuantizedRange]:
    ranges = []
    for node in index.nodes:
        if node.op_type != QUANTIZE or index.initializer(node.input[0]) is not None:
            continue
        scale, zero_point = index.initializer(node.input[1]), index.initializer(node.input[2])
        if scale is None or zero_point is None or scale.size != 1:
            continue  # a per-channel activation has no one interval to show
        limits, dtype = np.iinfo(zero_point.dtype), str(zero_point.dtype)
        step, zero = float(scale.reshape(())), int(zero_point.reshape(()))
        low, high = ((int(end) - zero) * step for end in (limits.min, limits.max))
        ranges.append(QuantizedRange(node.input[0], dtype, step, zero, low, high))
    return ranges
