"""Turn channels round a PReLU: what was negative before it becomes positive, and the reverse.

    prelu_a(-u) = -a prelu_1/a(u)        a != 0

So a channel may be divided by a negative factor f before a PReLU that has a slope of its own for
it: the slope becomes 1/a, and behind it the channel finds itself divided by a f. With two grids of
one step around it, what is positive is rounded once and what is negative twice
(quant/numerics/channel_factors.py), so it matters which way round a channel is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex
from quant.analysis.scale_absorbers import convolution_can_absorb_scale, is_exclusive


@dataclass(frozen=True, eq=False)
class ReversibleSlopes:
    """A PReLU between convolutions.

    Attributes:
        node: the PReLU; one convolution makes all that it reads, and nothing else reads that.
        constant: name of its slopes' initializer, which nothing else reads.
        values: float64 ``[C]``, the slope of each channel.
    """

    node: onnx.NodeProto
    constant: str
    values: Float64

    def behind(self, factors: Float64) -> Float64:
        """Return what its output is divided by, ``[C]``, where its input is by ``factors``."""
        return np.where(factors < 0.0, factors * self.values, factors)

    def turned(self, factors: Float64) -> Float64:
        """Return its slopes, ``[C]``, where its input is divided by ``factors``."""
        turned: Float64 = self.values.copy()
        np.divide(1.0, self.values, out=turned, where=factors < 0.0)
        return turned


def reversible_slopes(index: GraphIndex) -> Iterator[ReversibleSlopes]:
    """Yield all PReLUs of a graph whose channels can be turned round, but for slopes of 0."""
    for node in index.nodes:
        if node.op_type != "PRelu" or not is_exclusive(index, node.input[1]):
            continue
        source, shape = index.producer(node.input[0]), index.shape(node.input[0])
        slopes = index.initializer(node.input[1])
        readers = index.consumers(node.output[0])
        if (
            source is not None
            and convolution_can_absorb_scale(index, source)
            and len(index.consumers(node.input[0])) == 1
            and not {node.input[0], node.output[0]} & {*index.outputs}
            and all(convolution_can_absorb_scale(index, reader) for reader in readers)
            and shape is not None
            and slopes is not None
            and slopes.shape in {(shape[1], 1, 1), (1, shape[1], 1, 1)}
        ):
            yield ReversibleSlopes(node, node.input[1], slopes.astype(np.float64).reshape(-1))
