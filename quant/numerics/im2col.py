"""Sample the columns that a convolution multiplies from the activations it reads.

A column holds what the kernel covers at one output position, in the order of a flattened weight
``[I, kH, kW]``. All columns of one 128x128 activation of 192 channels take 113 MB; a few thousand
spread over several images say as much about their mean and second moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float32, Int64
from calib.errors import GraphError


@dataclass(frozen=True)
class Window:
    """Which input values an output position of a convolution sees.

    Attributes:
        kernel: height and width.
        strides: rows and columns from one position to the next.
        dilations: rows and columns between two values of a window.
        pads: rows and columns of zeros put above, left, below and right.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def of(cls, node: onnx.NodeProto, kernel: Sequence[int]) -> "Window":
        """Return the window of a Conv node.

        Raises:
            GraphError: the convolution is grouped, pads by rule, or is not two-dimensional.
        """
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if given.get("group", 1) != 1:
            raise GraphError(f"a convolution of {given['group']} groups has no one input moment")
        if given.get("auto_pad", b"NOTSET") != b"NOTSET" or len(kernel) != 2:
            raise GraphError("only two-dimensional convolutions with stated pads are sampled")
        rows, columns = kernel
        stride, dilation = given.get("strides", (1, 1)), given.get("dilations", (1, 1))
        top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
        return cls((rows, columns), tuple(stride), tuple(dilation), (top, left, bottom, right))

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of output positions of a ``height`` x ``width`` input."""
        top, left, bottom, right = self.pads
        sizes = (height + top + bottom, width + left + right)
        down, across = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, dilation in zip(
                sizes, self.kernel, self.strides, self.dilations, strict=True
            )
        )
        return down, across

    def draw(self, height: int, width: int, count: int, rng: np.random.Generator) -> Int64:
        """Return int64 ``[count]`` output positions of a ``height`` x ``width`` input.

        Fewer if there are fewer; none twice.
        """
        down, across = self.positions(height, width)
        return rng.permutation(down * across)[:count]

    def columns(self, values: Float32, drawn: Int64) -> Float32:
        """Return the columns at some output positions.

        Args:
            values: float32 ``[1, C, H, W]``.
            drawn: the positions, row by row.

        Returns:
            float32 ``[C * kH * kW, len(drawn)]``.
        """
        _, channels, height, width = values.shape
        _, across = self.positions(height, width)
        top, left, bottom, right = self.pads
        pixels = np.pad(values[0], ((0, 0), (top, bottom), (left, right))).reshape(channels, -1)
        wide = width + left + right
        corner = drawn // across * self.strides[0] * wide + drawn % across * self.strides[1]
        columns = np.empty((channels, *self.kernel, len(drawn)), np.float32)
        for row, column in np.ndindex(*self.kernel):
            offset = row * self.dilations[0] * wide + column * self.dilations[1]
            columns[:, row, column] = pixels[:, corner + offset]
        return columns.reshape(-1, len(drawn))
