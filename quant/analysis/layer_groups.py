"""Group the convolutions of a float graph that belong together under its plan.

The convolutions of a dense block read a growing Concat of the same tensors. They share what can
be said of their input (quant/rounding/round_weights.py), and they are the unit that returns to a
higher precision (quant/sensitivity.py): one of them alone would leave its neighbours to
requantize.
"""

from dataclasses import dataclass

import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.concats import joined
from quant.numerics.im2col import Window
from quant.plan import QuantPlan


@dataclass(frozen=True, eq=False)
class LayerGroup:
    """Convolutions that read the same tensors side by side, or only the first of them.

    Attributes:
        nodes: with the same window; the last reads all sources.
        sources: tensors whose channels follow one another in what the last one reads.
        window: what an output position of each of them sees.
    """

    nodes: tuple[onnx.NodeProto, ...]
    sources: tuple[str, ...]
    window: Window

    @property
    def name(self) -> str:
        """The last convolution's."""
        return self.nodes[-1].name


def find_layer_groups(
    index: GraphIndex, plan: QuantPlan
) -> tuple[list[LayerGroup], dict[str, str]]:
    """Return the planned convolutions by what they read.

    Args:
        index: the float graph.
        plan: its plan.

    Returns:
        The groups in graph order, and the weights that belong to none with the reason.
    """
    names = {quant.node: name for name, quant in plan.weights.items()}
    alone: dict[str, str] = {}
    groups: list[LayerGroup] = []
    for node in index.nodes:
        if node.name not in names:
            continue
        shape = index.shape(node.input[1])
        assert shape is not None  # a weight is an initializer
        try:
            window = Window.of(node, shape[2:])
        except GraphError as error:
            alone[names[node.name]] = str(error)
            continue
        sources = joined(index, node.input[0])
        for number, known in enumerate(groups):
            if known.window == window and sources[: len(known.sources)] == known.sources:
                groups[number] = LayerGroup((*known.nodes, node), sources, window)
                break
        else:
            groups.append(LayerGroup((node,), sources, window))
    return groups, alone
