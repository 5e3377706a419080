"""ONNX files as other people export them: tiny networks that enlarge a picture by 2."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dimensions = Sequence[int | str]

DYNAMIC: Dimensions = ("batch", 3, "height", "width")
SCALE = 2
IR_OF_OPSET = ((19, 8), (21, 9), (99, 10))


def sr_model(
    opset: int = 17,
    *,
    half: bool = False,
    shape: Dimensions = DYNAMIC,
    ends: tuple[str, str] = ("x", "y"),
    named_nodes: bool = True,
    through: tuple[float, float] = (1.0, 0.0),
) -> onnx.ModelProto:
    """Return a network that draws its input enlarged, and some details on it.

    It holds what opsets spell differently: a reduction, a Split, a Pad, a Resize, and from opset
    20 on a Gelu.

    Args:
        opset: version of the ``ai.onnx`` operator set.
        half: fp16 values throughout, ends included.
        shape: of the input.
        ends: names of input and output.
        named_nodes: give nodes names.
        through: factor and offset of the values that it was trained on, beside [0, 1].
    """
    graph = _Graph(half=half)
    given, made = ends
    factor, offset = through
    rng = np.random.default_rng(3)
    # The conversion that whoever exported it forgot to put in: values come as they are.
    centred = graph.node("Sub", given, graph.weight(np.float32(offset + factor / 2)))
    unit = graph.node("Div", centred, graph.weight(np.float32(factor)))
    first = graph.weight(rng.normal(0, 0.3, (8, 3, 3, 3)))
    seen = graph.node("Relu", graph.node("Conv", unit, first, pads=[1] * 4))
    pooled = graph.reduced(seen, opset)
    halves = graph.halves(seen, opset)
    gated = graph.node("Mul", graph.node("Concat", *reversed(halves), axis=1), pooled)
    if opset >= 20:
        gated = graph.node("Gelu", gated)
    pads = graph.constant(np.array([0, 0, 1, 1] * 2))
    padded = graph.node("Pad", gated, pads, mode="reflect")
    details = graph.node("Conv", padded, graph.weight(rng.normal(0, 0.05, (12, 8, 3, 3))))
    details = graph.node("DepthToSpace", details, blocksize=SCALE, mode="CRD")
    roi = graph.weight(np.zeros(0)) if opset < 13 else ""
    scales = graph.constant(np.array([1, 1, SCALE, SCALE], np.float32))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    enlarged = graph.node("Resize", unit, roi, scales, nearest_mode="floor", **how)
    drawn = graph.node("Add", details, enlarged)
    bright = graph.node("Mul", drawn, graph.weight(np.float32(factor)))
    graph.node("Add", bright, graph.weight(np.float32(offset + factor / 2)), output=made)
    if named_nodes:
        for number, node in enumerate(graph.nodes):
            node.name = f"/{node.op_type}_{number}"
    return graph.model(ends, shape, opset)


def lowerable_model() -> onnx.ModelProto:
    """Return a network, of opset 13, with one place for each lowering that writes something else.

    It is spelled as exporters other than torch's do: the enlargement of what a convolution reads
    places pixels by their middles, slopes have an axis for the pictures.
    """
    graph = _Graph(half=False)
    rng = np.random.default_rng(4)

    def convolved(tensor: str, outputs: int, inputs: int) -> str:
        weight = graph.weight(rng.normal(0, 0.1, (outputs, inputs, 3, 3)))
        bias = graph.weight(rng.normal(0, 0.01, outputs))
        return graph.node("Conv", tensor, weight, bias, pads=[1] * 4)

    scales = graph.constant(np.array([1, 1, SCALE, SCALE], np.float32))
    small = convolved(graph.node("SpaceToDepth", "x", blocksize=SCALE), 8, 12)
    slopes = graph.weight(rng.uniform(-0.2, 0.5, (1, 8, 1, 1)))
    seen = graph.node("PRelu", small, slopes)
    deeper = graph.node("Relu", convolved(seen, 8, 8))
    trunk = graph.node("Add", convolved(deeper, 8, 8), seen)
    large = graph.node("Resize", trunk, "", scales, mode="nearest")
    bent = graph.node("LeakyRelu", convolved(large, 8, 8), alpha=0.2)
    details = graph.node("DepthToSpace", convolved(bent, 12, 8), blocksize=SCALE, mode="DCR")
    enlarged = graph.node("Resize", "x", "", scales, mode="linear")
    graph.node("Add", details, enlarged, output="y")
    return graph.model(("x", "y"), (1, *DYNAMIC[1:]), 13)


class _Graph:
    """Collects nodes and constants."""

    def __init__(self, *, half: bool) -> None:
        self._dtype = np.float16 if half else np.float32
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(
        self, operator: str, *inputs: str, output: str | None = None, **options: object
    ) -> str:
        made = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [made], **options))
        return made

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, value: np.ndarray | np.float32) -> str:
        return self.constant(np.asarray(value, self._dtype))

    def model(self, ends: tuple[str, str], shape: Dimensions, opset: int) -> onnx.ModelProto:
        """Return the network of these nodes, from an input of a shape to twice its sides."""
        kind = TensorProto.FLOAT16 if self._dtype is np.float16 else TensorProto.FLOAT
        enlarged = [
            *shape[:2],
            *(side * SCALE if isinstance(side, int) else f"{side}2" for side in shape[2:]),
        ]
        made = helper.make_graph(
            self.nodes,
            "main",
            [helper.make_tensor_value_info(ends[0], kind, list(shape))],
            [helper.make_tensor_value_info(ends[1], kind, enlarged)],
            self.initializers,
        )
        model = helper.make_model(
            made,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=next(version for most, version in IR_OF_OPSET if opset < most),
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def reduced(self, tensor: str, opset: int) -> str:
        if opset < 18:
            return self.node("ReduceMean", tensor, axes=[2, 3], keepdims=1)
        return self.node("ReduceMean", tensor, self.constant(np.array([2, 3])), keepdims=1)

    def halves(self, tensor: str, opset: int) -> tuple[str, str]:
        options = {"num_outputs": 2} if opset >= 18 else {}
        names = (f"{tensor}_low", f"{tensor}_high")
        self.nodes.append(helper.make_node("Split", [tensor], list(names), axis=1, **options))
        return names


def written(folder: Path, model: onnx.ModelProto, name: str = "net.onnx") -> Path:
    """Return the file that a model was written to."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def small_model(text: str, opset: int = 17) -> onnx.ModelProto:
    """Return the model that ONNX text says, of one graph."""
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
