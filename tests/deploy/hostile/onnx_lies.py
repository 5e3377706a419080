"""ONNX files that lie: what is wrong with each, and what is said of it."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.deploy.hostile.hostile import Lie, Make, always, cut, flipped

NESTED = 60


def model(change: Callable[[onnx.ModelProto], object]) -> Make:
    """Change a parsed model."""

    def make(good: bytes) -> bytes:
        parsed = onnx.load_model_from_string(good)
        change(parsed)
        return parsed.SerializeToString()

    return make


def convolution(parsed: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in parsed.graph.node if node.op_type == "Conv")


def weight(parsed: onnx.ModelProto) -> TensorProto:
    """Return the first kernel, float or integer."""
    return next(tensor for tensor in parsed.graph.initializer if len(tensor.dims) == 4)


def outside(location: str) -> Make:
    def change(parsed: onnx.ModelProto) -> None:
        tensor = weight(parsed)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "864")):
            tensor.external_data.add(key=key, value=value)

    return model(change)


def outside_in_attribute(parsed: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    parsed.graph.node.append(helper.make_node("Constant", [], ["c"], name="c", value=tensor))


def sized(*dims: int) -> Make:
    def change(parsed: onnx.ModelProto) -> None:
        weight(parsed).dims[:] = dims

    return model(change)


def typed(kind: int) -> Make:
    return model(lambda parsed: setattr(weight(parsed), "data_type", kind))


def short(parsed: onnx.ModelProto) -> None:
    weight(parsed).raw_data = weight(parsed).raw_data[:-3]


def twice_stored(parsed: onnx.ModelProto) -> None:
    weight(parsed).float_data.extend([1.0, 2.0])


def strings(parsed: onnx.ModelProto) -> None:
    name = weight(parsed).name
    weight(parsed).CopyFrom(helper.make_tensor(name, TensorProto.STRING, [1], [b"weights"]))


def segment(parsed: onnx.ModelProto) -> None:
    weight(parsed).segment.begin = 0
    weight(parsed).segment.end = 1 << 40


def subgraph(levels: int) -> Make:
    """An If in an If in an If."""

    def change(parsed: onnx.ModelProto) -> None:
        result = helper.make_tensor_value_info("r", TensorProto.FLOAT, [1])
        constant = numpy_helper.from_array(np.ones(1, np.float32), "v")
        inner = helper.make_graph(
            [helper.make_node("Constant", [], ["r"], value=constant)], "g", [], [result]
        )
        for level in range(levels):
            node = helper.make_node(
                "If", ["yes"], ["r"], f"if{level}", then_branch=inner, else_branch=inner
            )
            inner = helper.make_graph([node], "g", [], [result]) if level < 5 else _outer(inner)
        yes = numpy_helper.from_array(np.array(True), "yes")
        parsed.graph.initializer.append(yes)
        parsed.graph.node.append(
            helper.make_node("If", ["yes"], ["r"], "if", then_branch=inner, else_branch=inner)
        )

    return model(change)


def _outer(inner: onnx.GraphProto) -> onnx.GraphProto:
    """Nest one side only: two would double the file at every level."""
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, [1])
    return helper.make_graph(
        [helper.make_node("If", ["yes"], ["r"], then_branch=inner)], "g", [], [result]
    )


def cycle(parsed: onnx.ModelProto) -> None:
    first, last = parsed.graph.node[0], parsed.graph.node[-1]
    first.input[0] = last.output[0]


def itself(parsed: onnx.ModelProto) -> None:
    node = convolution(parsed)
    node.input[0] = node.output[0]


def opset(*versions: int) -> Make:
    def change(parsed: onnx.ModelProto) -> None:
        del parsed.opset_import[:]
        parsed.opset_import.extend(helper.make_opsetid("", version) for version in versions)

    return model(change)


def ending(which: str, *dims: int | str | None) -> Make:
    """State another shape for the input or the output."""

    def change(parsed: onnx.ModelProto) -> None:
        end = getattr(parsed.graph, which)[0]
        made = helper.make_tensor_value_info(end.name, TensorProto.FLOAT, dims)
        end.CopyFrom(made)

    return model(change)


def attribute(name: str, value: object) -> Make:
    def change(parsed: onnx.ModelProto) -> None:
        node = convolution(parsed)
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return model(change)


def node(change: Callable[[onnx.NodeProto], object]) -> Make:
    return model(lambda parsed: change(convolution(parsed)))


def emptied(field: str) -> Make:
    return model(lambda parsed: parsed.graph.ClearField(field))


def doubled(field: str) -> Make:
    def change(parsed: onnx.ModelProto) -> None:
        items = getattr(parsed.graph, field)
        items.append(items[0])

    return model(change)


def sparse(parsed: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.array([1 << 40], np.int64), "i")
    parsed.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, indices, [1 << 20, 1 << 20])
    )


def function(parsed: onnx.ModelProto) -> None:
    """A function that calls itself."""
    again = helper.make_node("Loop", ["x"], ["y"], domain="lie")
    parsed.functions.append(
        helper.make_function("lie", "Loop", ["x"], ["y"], [again], [helper.make_opsetid("lie", 1)])
    )
    parsed.opset_import.append(helper.make_opsetid("lie", 1))
    convolution(parsed).domain, convolution(parsed).op_type = "lie", "Loop"


def broken_name(good: bytes) -> bytes:
    """Make the name of the first convolution no UTF-8, as one flipped byte does."""
    name = convolution(onnx.load_model_from_string(good)).output[0].encode()
    return good.replace(name, b"\xff" + name[1:])


LIES: dict[str, Lie] = {
    "0 bytes": Lie("x.onnx", always(b""), "empty"),
    "zeros": Lie("x.onnx", always(bytes(4096)), "no ONNX model"),
    "ones": Lie("x.onnx", always(b"\xff" * 4096), "no ONNX model"),
    "a text": Lie("x.onnx", always(b"neither here nor there"), "no ONNX model"),
    "a web page": Lie("x.onnx", always(b"<!DOCTYPE html><p>404"), "no ONNX model"),
    "a length beyond the end": Lie("x.onnx", always(b"\x3a\xff\xff\xff\xff\x07"), "no ONNX model"),
    "groups 10,000 levels deep": Lie("x.onnx", always(b"\x0b" * 10_000), "no ONNX model"),
    "a tenth": Lie("x.onnx", cut(0.1), "no ONNX model"),
    "half": Lie("x.onnx", cut(0.5), "no ONNX model"),
    "without its last bytes": Lie("x.onnx", cut(0.999), "no ONNX model"),
    "a name that is no UTF-8": Lie("x.onnx", broken_name, "no ONNX model"),
    "a bit of the first byte": Lie("x.onnx", flipped(0.0), "no ONNX model|output"),
    "weights in a parent folder": Lie("x.onnx", outside("../../etc/passwd"), "another file"),
    "weights at an absolute path": Lie("x.onnx", outside("/etc/passwd"), "another file"),
    "weights beside it": Lie("x.onnx", outside("x.onnx.data"), "another file"),
    "a constant in another file": Lie("x.onnx", model(outside_in_attribute), "another file"),
    "a kernel of 2 GB": Lie("x.onnx", sized(1 << 14, 1 << 14, 1, 2), "bytes"),
    "a kernel of 2^80 values": Lie("x.onnx", sized(1 << 40, 1 << 40), "bytes"),
    "a kernel of -8 channels": Lie("x.onnx", sized(-8, 3, 3, 3), "negative"),
    "a kernel of -1 by -1": Lie("x.onnx", sized(-1, -1), "negative"),
    "a kernel of no type": Lie("x.onnx", typed(0), "type"),
    "a kernel of type 999": Lie("x.onnx", typed(999), "type"),
    "a kernel that is cut short": Lie("x.onnx", model(short), "bytes"),
    "a kernel that is stored twice": Lie("x.onnx", model(twice_stored), "one value field"),
    "a kernel of words": Lie("x.onnx", model(strings), "x.onnx"),
    "a kernel in segments": Lie("x.onnx", model(segment), "segment"),
    "a sparse kernel of 2^40 values": Lie("x.onnx", model(sparse), "sparse"),
    "a subgraph": Lie("x.onnx", subgraph(0), "subgraph"),
    "subgraphs in subgraphs": Lie("x.onnx", subgraph(5), "subgraph"),
    "a function that calls itself": Lie("x.onnx", model(function), "function"),
    "a cycle": Lie("x.onnx", model(cycle), "cycle|sorted|order|nothing makes"),
    "a node that reads itself": Lie("x.onnx", model(itself), "cycle|sorted|order"),
    "operator set 9999": Lie("x.onnx", opset(9999), "opset|operator set|9999"),
    "operator set 0": Lie("x.onnx", opset(0), "opset|operator set|version"),
    "operator set -1": Lie("x.onnx", opset(-1), "opset|operator set|version"),
    "no operator set": Lie("x.onnx", opset(), "opset|operator set"),
    "two operator sets": Lie("x.onnx", opset(13, 21), "opset|operator set|13"),
    "an IR version of 9999": Lie(
        "x.onnx", model(lambda m: setattr(m, "ir_version", 9999)), "IR|ir_"
    ),
    "no IR version": Lie("x.onnx", model(lambda m: m.ClearField("ir_version")), "IR|ir_"),
    "an input of negative height": Lie("x.onnx", ending("input", 1, 3, -128, 128), "x.onnx"),
    "an input of 2^62 pixels": Lie("x.onnx", ending("input", 1, 3, 1 << 31, 1 << 31), "x.onnx"),
    "an output of another shape": Lie("x.onnx", ending("output", 7), "x.onnx"),
    "no graph": Lie("x.onnx", model(lambda m: m.ClearField("graph")), "x.onnx"),
    "no nodes": Lie("x.onnx", emptied("node"), "x.onnx"),
    "no inputs": Lie("x.onnx", emptied("input"), "x.onnx"),
    "no outputs": Lie("x.onnx", emptied("output"), "x.onnx"),
    "no weights": Lie("x.onnx", emptied("initializer"), "x.onnx"),
    "a node twice": Lie("x.onnx", doubled("node"), "x.onnx"),
    "a weight twice": Lie("x.onnx", doubled("initializer"), "x.onnx"),
    "an input twice": Lie("x.onnx", doubled("input"), "x.onnx"),
    "an output twice": Lie("x.onnx", doubled("output"), "x.onnx"),
    "an unknown operator": Lie("x.onnx", node(lambda n: setattr(n, "op_type", "Cnov")), "Cnov"),
    "an unknown domain": Lie("x.onnx", node(lambda n: setattr(n, "domain", "lie")), "x.onnx"),
    "a convolution of nothing": Lie("x.onnx", node(lambda n: n.ClearField("input")), "x.onnx"),
    "a convolution to nowhere": Lie("x.onnx", node(lambda n: n.ClearField("output")), "x.onnx"),
    "a kernel that nothing makes": Lie(
        "x.onnx", node(lambda n: n.input.__setitem__(1, "absent")), "absent"
    ),
    "pads below 0": Lie("x.onnx", attribute("pads", [-99, -99, -99, -99]), "x.onnx"),
    "strides of 0": Lie("x.onnx", attribute("strides", [0, 0]), "x.onnx"),
    "a kernel shape of words": Lie("x.onnx", attribute("kernel_shape", ["a", "b"]), "x.onnx"),
    "a kernel shape of another size": Lie("x.onnx", attribute("kernel_shape", [9, 9]), "x.onnx"),
}

ALIEN: dict[str, Lie] = {
    "a dynamic input": Lie("x.onnx", ending("input", "n", 3, "h", "w"), "x.onnx"),
    "no groups": Lie("x.onnx", attribute("group", 0), "x.onnx"),
}
"""What is no lie of a file by itself, but of one that a build's manifest names."""
