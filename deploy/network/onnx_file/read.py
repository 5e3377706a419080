"""Read an ONNX file that enlarges pictures, and refuse in one sentence what is none.

What can be told without running it is told here; what it draws is judged in
deploy/network/onnx_file/export.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, inliner

from calib.colours import GRAY, RGB, Channels, channels_of
from calib.digest import sha256_bytes
from calib.errors import GraphError, UsageError
from calib.tile import Tile
from calib.widen import HALF_TYPES
from deploy.artifacts.files import main_opset
from deploy.artifacts.onnx_files import load_model
from deploy.artifacts.onnx_problems import onnx_problems

_TAKEN = {TensorProto.FLOAT, *HALF_TYPES}
_STANDARD = frozenset({"", "ai.onnx"})
_INTEGER_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear"}
)

Dimensions = tuple[int | str, ...]
"""Sizes of a tensor; a string is the name of one that is not fixed."""


@dataclass(frozen=True)
class PictureEnd:
    """Where pictures go into a graph, or come out.

    Attributes:
        name: of the tensor.
        dtype: its element type, such as ``float16``.
        shape: N, C, H and W.
    """

    name: str
    dtype: str
    shape: Dimensions


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file of one picture in and one out.

    Attributes:
        name: of the file.
        sha256: digest of its content.
        model: what it holds, without functions of its own.
        taken: its input.
        given: its output.
        opset: version of its ``ai.onnx`` operator set.
    """

    name: str
    sha256: str
    model: onnx.ModelProto
    taken: PictureEnd
    given: PictureEnd
    opset: int

    @property
    def is_half(self) -> bool:
        """Whether any of its values are fp16 or bf16."""
        graph = self.model.graph
        ends = (*graph.input, *graph.output, *graph.value_info)
        types = {end.type.tensor_type.elem_type for end in ends}
        types |= {tensor.data_type for tensor in graph.initializer}
        types |= {
            attribute.t.data_type
            for node in graph.node
            for attribute in node.attribute
            if attribute.type == onnx.AttributeProto.TENSOR
        }
        return not HALF_TYPES.isdisjoint(types)

    @property
    def channels(self) -> Channels:
        """Of its input: one of gray, else three, which is what a file means that says none."""
        return channels_of(self.taken.shape[1])

    def require_fitting(self, tile: Tile) -> None:
        """Refuse a size that the file is not made for.

        Raises:
            UsageError: its own sides are fixed, and others.
        """
        sides = zip(self.taken.shape[2:], tile.sides, strict=True)
        if any(isinstance(own, int) and own != side for own, side in sides):
            height, width = self.taken.shape[2:]
            fixed = "x".join(
                str(own if isinstance(own, int) else side)
                for own, side in zip((height, width), tile.sides, strict=True)
            )
            raise UsageError(
                f"{self.name} takes pictures of {_spelled(self.taken.shape)} alone, asked for is "
                f"{tile.size}; build with --size {fixed}, or export it with dynamic sides"
            )


def read_onnx_file(path: Path) -> OnnxFile:
    """Read the file, with all of its weights inside.

    Raises:
        GraphError: it is missing, is no valid ONNX, or is no network from one picture of
            floats, RGB or gray, to another.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GraphError(f"cannot read {path}: {error.strerror or error}") from error
    model = load_model(content, path.name, functions=True)
    try:
        onnx.checker.check_model(model)
        model = inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"{path.name} is no valid ONNX model: {reason}") from error
    for problem in (*onnx_problems(model), *_foreign(model), *_wrong_ends(model)):
        raise GraphError(f"{path.name} {problem}")
    taken, given = map(_end, (_inputs(model)[0], model.graph.output[0]))
    return OnnxFile(path.name, sha256_bytes(content), model, taken, given, main_opset(model))


def _foreign(model: onnx.ModelProto) -> Iterator[str]:
    """Say which operators keep the graph from being built."""
    nodes = model.graph.node
    domains = {node.domain for node in nodes} - _STANDARD
    if domains:
        kinds = sorted({node.op_type for node in nodes if node.domain in domains})
        yield (
            f"uses operators of {', '.join(sorted(domains))} ({', '.join(kinds)}); expected those "
            "of ONNX alone, as before any runtime optimized it"
        )
    integer = sorted({node.op_type for node in nodes} & _INTEGER_OPERATORS)
    if integer:
        yield (
            f"is quantized already ({', '.join(integer)}); give the float model, which is "
            "quantized here, or 'esrdeploy inspect' it as it is"
        )


def _wrong_ends(model: onnx.ModelProto) -> Iterator[str]:
    """Say why a graph is not one from a picture to a picture."""
    inputs, outputs = _inputs(model), list(model.graph.output)
    for ends, word in ((inputs, "input"), (outputs, "output")):
        if len(ends) != 1:
            found = ", ".join(end.name for end in ends) or "none"
            yield (
                f"has {len(ends)} {word}s ({found}); expected one picture: make constants of "
                "other inputs, and leave other outputs out, when exporting"
            )
            return
    for end, word in ((inputs[0], "takes"), (outputs[0], "gives")):
        tensor = end.type.tensor_type
        if tensor.elem_type not in _TAKEN:
            kind = _type_name(tensor.elem_type)
            yield f"{word} {kind}; expected float32 or float16 values in [0, 1]"
        if not tensor.HasField("shape"):
            if word == "takes":
                yield "does not say how many dimensions its input has; expected [N, 3, H, W]"
            continue
        yield from _wrong_shape(_shape(end), word)
    taken, given = ((*_shape(end), "?", "?")[1] for end in (inputs[0], outputs[0]))
    if taken != given and isinstance(taken, int) and isinstance(given, int):
        yield f"takes {taken} channels and gives {given}; expected as many given as taken"


def _wrong_shape(shape: Dimensions, word: str) -> Iterator[str]:
    if len(shape) != 4:
        yield f"{word} {_spelled(shape)}; expected pictures, [N, 3, H, W]"
        return
    batch, channels = shape[:2]
    if isinstance(channels, int) and channels not in {GRAY, RGB}:
        hint = ": export it with channels before rows (NCHW)" if shape[3] in {GRAY, RGB} else ""
        found = f"{channels} channels, {_spelled(shape)}"
        yield f"{word} {found}; expected RGB, [N, 3, H, W], or gray, [N, 1, H, W]{hint}"
    elif isinstance(batch, int) and batch != 1:
        yield (
            f"{word} {batch} pictures at once; export it for one, or for any number: --batch makes "
            "the batch"
        )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [end for end in model.graph.input if end.name not in stored]


def _end(value: onnx.ValueInfoProto) -> PictureEnd:
    return PictureEnd(value.name, _type_name(value.type.tensor_type.elem_type), _shape(value))


def _shape(value: onnx.ValueInfoProto) -> Dimensions:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in dims)


def _spelled(shape: Dimensions) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _type_name(elem_type: int) -> str:
    if not elem_type:
        return "values of no stated type"
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
