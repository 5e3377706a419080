"""The wiring as the planner sees it: parts, readers, branches; node names mean nothing."""

import onnx
import pytest

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.topology import Topology

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

UNSHUFFLED = (
    HEADER
    + """
x2 (float[1,3,8,8] input) => (float[1,3,16,16] output)
<float[4,12,3,3] w0, float[4,4,3,3] w1, float[4,4,3,3] w2, float[4,4,3,3] w3, float[3,4,3,3] w4,
 float[4] scales = {1.0, 1.0, 2.0, 2.0}>
{
  [fold] small = SpaceToDepth<blocksize=2>(input)
  [conv0] a = Conv<pads=[1,1,1,1]>(small, w0)
  [act0] b = LeakyRelu<alpha=0.2>(a)
  [conv1] c = Conv<pads=[1,1,1,1]>(b, w1)
  [skip] d = Add(b, c)
  [up1] e = Resize<mode="nearest">(d, , scales)
  [conv2] f = Conv<pads=[1,1,1,1]>(e, w2)
  [up2] g = Resize<mode="nearest">(f, , scales)
  [conv3] h = Conv<pads=[1,1,1,1]>(g, w3)
  [act3] i = Relu(h)
  [conv4] output = Conv<pads=[1,1,1,1]>(i, w4)
}
"""
)


def topology_of(parsed, text: str) -> Topology:
    return Topology(GraphIndex(parsed(text)))


def node(topology: Topology, name: str) -> onnx.NodeProto:
    return next(node for node in topology.operators if node.name == name)


def test_the_parts_of_a_network_that_folds_its_picture_first(parsed) -> None:
    topology = topology_of(parsed, UNSHUFFLED)
    parts = {node.name: topology.part(node) for node in topology.operators}
    assert parts == {
        "fold": "head",
        "conv0": "head",
        "act0": "head",
        "conv1": "body",
        "skip": "trunk",
        "up1": "tail",
        "conv2": "tail",
        "up2": "tail",
        "conv3": "tail",
        "act3": "tail",
        "conv4": "tail",
    }


def test_names_are_never_looked_at(parsed) -> None:
    text = UNSHUFFLED
    for name in ("fold", "conv0", "act0", "conv1", "skip", "up1", "conv2", "up2", "conv3"):
        text = text.replace(f"[{name}]", f"[n{len(name) * 100 + sum(map(ord, name))}]")
    renamed, known = topology_of(parsed, text), topology_of(parsed, UNSHUFFLED)
    assert [renamed.part(n) for n in renamed.operators] == [known.part(n) for n in known.operators]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("[a]", "found a second node 'a' \\(Relu\\); a plan needs every node to have a name"),
        ("", "found an unnamed node '' \\(Relu\\)"),
    ],
    ids=["twice", "unnamed"],
)
def test_nodes_need_names_of_their_own(second, message, parsed) -> None:
    text = f"""{HEADER}
    g (float[1,2,2,2] input) => (float[1,2,2,2] output)
    {{ [a] x = Relu(input) {second} output = Relu(x) }}"""
    with pytest.raises(GraphError, match=message):
        topology_of(parsed, text)


def test_constants_are_neither_operators_nor_data(parsed) -> None:
    topology = topology_of(
        parsed,
        f"""{HEADER}
        g (float[1,2,2,2] input) => (float[1,2,2,2] output) <float c = {{2.0}}>
        {{
          [k] k = Constant<value = float {{3.0}}>()
          [a] x = Mul(input, c)
          [b] y = Mul(k, x)
          [twice] output = Add(y, y)
        }}""",
    )
    assert [n.name for n in topology.operators] == ["a", "b", "twice"]
    assert topology.data_inputs(node(topology, "a")) == ("input",)
    assert topology.data_inputs(node(topology, "b")) == ("x",)
    assert topology.data_inputs(node(topology, "twice")) == ("y",)
    assert [reader.name for reader in topology.readers("x")] == ["b"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("[act] output = LeakyRelu(a)", "act"),
        ("[act] output = Relu(a)", "act"),
        ("[act] output = PRelu(a, slope)", "act"),
        ("[act] output = Sigmoid(a)", None),
        ("[act] b = Relu(a) [sum] output = Add(a, b)", None),
        ("[act] b = Identity(a) [then] output = Relu(b)", None),
    ],
    ids=["leaky", "plain", "PReLU", "unknown", "read beside it", "moved first"],
)
def test_the_activation_that_alone_reads_a_convolution(nodes, expected, parsed) -> None:
    topology = topology_of(
        parsed,
        f"""{HEADER}
        g (float[1,2,2,2] input) => (float[1,2,2,2] output)
        <float[2,2,1,1] w, float[2,1,1] slope>
        {{ [conv] a = Conv(input, w) {nodes} }}""",
    )
    found = topology.activation_of("a")
    assert (found and found.name) == expected
    assert topology.activation_of("input") is None


def test_an_activation_of_the_graphs_own_output_is_not_alone(parsed) -> None:
    topology = topology_of(
        parsed,
        f"""{HEADER}
        g (float[1,2,2,2] input) => (float[1,2,2,2] a, float[1,2,2,2] b) <float[2,2,1,1] w>
        {{ [conv] a = Conv(input, w) [act] b = Relu(a) }}""",
    )
    assert topology.activation_of("a") is None


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ("shallow, deep", "deep"),
        ("deep, shallow", "deep"),
        ("deep, other", None),
        ("deep, c", None),
        ("deep, deep", None),
        ("input, shallow", "shallow"),
    ],
    ids=["right", "left", "equally deep", "constant", "itself", "the picture"],
)
def test_the_branch_is_the_input_with_more_convolutions_behind_it(
    operands, expected, parsed
) -> None:
    topology = topology_of(
        parsed,
        f"""{HEADER}
        g (float[1,2,2,2] input) => (float[1,2,2,2] output)
        <float[2,2,1,1] w1, float[2,2,1,1] w2, float[2,2,1,1] w3, float c = {{2.0}}>
        {{
          [one] shallow = Conv(input, w1)
          [two] deep = Conv(shallow, w2)
          [three] other = Conv(shallow, w3)
          [sum] output = Add({operands})
          [rest] unused = Concat<axis=1>(deep, other)
        }}""",
    )
    assert topology.branch_input(node(topology, "sum")) == expected
    assert topology.branch_input(node(topology, "two")) is None
