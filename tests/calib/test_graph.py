"""The graph index: order, producers, consumers, constants, shapes, and malformed graphs."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex, graph_digest, network_digest

HEADER = '<ir_version: 8, opset_import: ["": 17]> g (float[1,2,4,4] x) => (float[1,2,4,4] y)'


def parse(body: str, constants: str = "") -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEADER} {constants} {{ {body} }}")


def test_producers_and_consumers(dense_block: onnx.ModelProto) -> None:
    index = GraphIndex(dense_block)
    assert index.inputs == ("input",)
    assert index.outputs == ("output",)
    trunk = index.producer("trunk")
    assert trunk is not None
    assert trunk.op_type == "Add"
    assert [node.output[0] for node in index.consumers("head")] == [
        "grown1", "both", "three", "trunk",
    ]  # fmt: skip
    assert index.producer("input") is None
    assert index.producer("head_w") is None
    assert index.consumers("output") == ()
    assert index.has_tensor("input")
    assert not index.has_tensor("head_w")


def test_a_node_that_reads_a_tensor_twice_is_one_consumer() -> None:
    assert len(GraphIndex(parse("y = Mul(x, x)")).consumers("x")) == 1


def test_order_is_kept_where_it_is_topological(dense_block: onnx.ModelProto) -> None:
    assert list(GraphIndex(dense_block).nodes) == list(dense_block.graph.node)


def test_nodes_come_in_topological_order() -> None:
    model = parse("y = Add(b, a)  b = Mul(a, a)  a = Relu(x)")
    assert [node.output[0] for node in GraphIndex(model).nodes] == ["a", "b", "y"]


def test_constants_are_read_from_initializers_and_nodes() -> None:
    model = parse(
        "k = Constant<value_floats = [0.5, 2.0]>() t = Constant<value = float[1] {3.0}>() "
        "n = Constant<value_int = 4>() a = Mul(x, c) y = Add(a, t)",
        "<float[1] c = {0.2}>",
    )
    index = GraphIndex(model)
    np.testing.assert_array_equal(index.constant("c"), np.float32([0.2]))
    np.testing.assert_array_equal(index.constant("k"), np.float32([0.5, 2.0]))
    np.testing.assert_array_equal(index.constant("t"), np.float32([3.0]))
    assert index.constant("n") == 4
    assert index.constant("a") is None
    assert index.initializer("k") is None
    assert [name for name in "cktax" if index.is_constant(name)] == ["c", "k", "t"]


def test_shapes_are_inferred_where_the_model_does_not_say() -> None:
    model = parse("a = Concat<axis = 1>(x, x) b = Cast<to = 10>(a) y = Relu(x)")
    index = GraphIndex(model)
    assert index.shape("a") == (1, 4, 4, 4)
    assert index.size_bytes("a") == 4 * 64
    assert index.size_bytes("b") == 2 * 64
    assert index.element_type("b") == onnx.TensorProto.FLOAT16
    assert index.shape("nowhere") is None


def test_dynamic_shapes_are_not_shapes() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1,n] x) => (float[1,n] y)'
    index = GraphIndex(onnx.parser.parse_model(f"{text} {{ y = Relu(x) }}"))
    assert index.shape("x") is None
    with pytest.raises(GraphError, match=r"'x' has no static shape"):
        index.size_bytes("x")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("a = Add(x, b) b = Relu(a) y = Relu(x)", "cycle", id="cycle"),
        pytest.param("y = Add(x, ghost)", "'ghost', which nothing makes", id="missing"),
        pytest.param("y = Relu(x) y = Neg(x)", "'y' is made twice", id="double"),
    ],
)
def test_malformed_graphs_are_refused(body: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        GraphIndex(parse(body)).nodes  # noqa: B018  # the property does the work


def test_control_flow_is_refused() -> None:
    branch = "{ a = Relu(x) }"
    body = (
        "c = Constant<value = bool {1}>() "
        f"y = If(c)<then_branch = t () => (float[1,2,4,4] a) {branch}, "
        f"else_branch = e () => (float[1,2,4,4] a) {branch}>"
    )
    with pytest.raises(GraphError, match="subgraph"):
        GraphIndex(parse(body)).consumers("x")


def test_digest_follows_the_content(dense_block: onnx.ModelProto) -> None:
    copy = onnx.ModelProto()
    copy.CopyFrom(dense_block)
    assert graph_digest(copy) == graph_digest(dense_block)
    copy.graph.node[0].name = "renamed"
    assert graph_digest(copy) != graph_digest(dense_block)


def at_another_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network with other dimensions and none stated inside."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    del other.graph.value_info[:]
    for end in (*other.graph.input, *other.graph.output):
        for dim in end.type.tensor_type.shape.dim:
            dim.dim_value += 8
    return other


def test_the_network_digest_knows_no_size(dense_block: onnx.ModelProto) -> None:
    other = at_another_size(dense_block)
    assert network_digest(other) == network_digest(dense_block)
    assert graph_digest(other) != graph_digest(dense_block)


def _touch_weight(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _touch_attribute(model: onnx.ModelProto) -> None:
    (node, *_) = [node for node in model.graph.node if node.op_type == "LeakyRelu"]
    node.attribute[0].f += 0.1


def _touch_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version += 1


def _touch_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def _touch_wiring(model: onnx.ModelProto) -> None:
    (node, *_) = [node for node in model.graph.node if node.op_type == "Concat"]
    node.input[0], node.input[1] = node.input[1], node.input[0]


@pytest.mark.parametrize(
    "touch", [_touch_weight, _touch_attribute, _touch_opset, _touch_type, _touch_wiring]
)
def test_the_network_digest_knows_all_else(dense_block: onnx.ModelProto, touch) -> None:
    other = at_another_size(dense_block)
    touch(other)
    assert network_digest(other) != network_digest(dense_block)


def test_a_shape_that_a_reshape_reads_is_of_the_size(reshaping) -> None:
    assert network_digest(reshaping([1, 12])) == network_digest(reshaping([2, 6]))
    assert network_digest(reshaping([1, 12])) != network_digest(reshaping([1, 2, 6]))
    read_twice = reshaping([1, 12], also_added=True)
    assert network_digest(read_twice) != network_digest(reshaping([2, 6], also_added=True))


@pytest.fixture
def reshaping():
    """A function from a shape to a graph that reshapes to it."""

    def make(shape: list[int], *, also_added: bool = False) -> onnx.ModelProto:
        nodes = [onnx.helper.make_node("Reshape", ["x", "shape"], ["y"], "r")]
        if also_added:
            nodes.append(onnx.helper.make_node("Add", ["shape", "shape"], ["z"], "a"))
        float32 = onnx.TensorProto.FLOAT
        return onnx.helper.make_model(
            onnx.helper.make_graph(
                nodes,
                "g",
                [onnx.helper.make_tensor_value_info("x", float32, [3, 4])],
                [onnx.helper.make_tensor_value_info("y", float32, shape)],
                [numpy_helper.from_array(np.array(shape, np.int64), "shape")],
            )
        )

    return make
