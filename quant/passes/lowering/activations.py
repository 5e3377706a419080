"""Write activations, and the picture's limits, with simpler operators.

PRelu       relu(x) + (-a) relu(-x), a slope a for each channel
LeakyRelu   max(x, a x) for a slope a between 0 and 1
output      clipped to [0, 1], what a viewer sees of it: for engines that hand on integers
"""

from collections.abc import Iterator

import numpy as np
from onnx import helper

from calib.arrays import AnyArray
from calib.graph import GraphIndex, attribute_of
from quant.passes.lowering.patterns import channel_slopes
from quant.passes.lowering.replace import LeftAlone, Replacement


def find_prelu(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield a pair of Relus in the place of every PRelu of one slope per channel."""
    for node in index.nodes:
        if node.op_type != "PRelu":
            continue
        slopes = channel_slopes(index, node)
        if slopes is None:
            yield LeftAlone(node.name, "its slopes are no constants of its channels")
            continue
        name, (tensor, _), output = node.name, node.input, node.output[0]
        constants: dict[str, AnyArray] = {
            f"{name}.minus_one": np.array(-1.0, np.float32),
            f"{node.input[1]}.negated": -slopes.reshape(-1, 1, 1),
        }
        minus, negated = constants
        above, turned = f"{output}_above", f"{output}_turned"
        below, scaled = f"{output}_below", f"{output}_scaled"
        nodes = [
            helper.make_node("Relu", [tensor], [above], f"{name}/above"),
            helper.make_node("Mul", [tensor, minus], [turned], f"{name}/turn"),
            helper.make_node("Relu", [turned], [below], f"{name}/below"),
            helper.make_node("Mul", [below, negated], [scaled], f"{name}/scale"),
            helper.make_node("Add", [above, scaled], [output], f"{name}/sum"),
        ]
        yield Replacement([node], nodes, constants)


def find_leaky(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield a multiplication and a Max in the place of every LeakyRelu."""
    for node in index.nodes:
        if node.op_type != "LeakyRelu":
            continue
        slope = np.float32(attribute_of(node, "alpha", 0.01))
        if not 0.0 <= slope <= 1.0:
            yield LeftAlone(node.name, f"its slope is {slope:g}, expected 0 to 1")
            continue
        name, tensor, output = node.name, node.input[0], node.output[0]
        factor, scaled = f"{name}.slope", f"{output}_scaled"
        nodes = [
            helper.make_node("Mul", [tensor, factor], [scaled], f"{name}/scale"),
            helper.make_node("Max", [tensor, scaled], [output], f"{name}/max"),
        ]
        yield Replacement([node], nodes, {factor: np.array(slope)})


def find_output(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield the node that makes the picture with a Clip behind it."""
    (output,) = index.outputs
    last = index.producer(output)
    if last is None or last.op_type == "Clip" or index.consumers(output):
        yield LeftAlone(output, "it is clipped already, or the network reads it again")
        return
    made = type(last)()
    made.CopyFrom(last)
    made.output[list(last.output).index(output)] = f"{output}_unclipped"
    bounds = {f"{output}.min": np.array(0, np.float32), f"{output}.max": np.array(1, np.float32)}
    clip = helper.make_node("Clip", [f"{output}_unclipped", *bounds], [output], f"{output}/clip")
    yield Replacement([last], [made, clip], bounds)
