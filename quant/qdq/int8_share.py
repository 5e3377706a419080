"""Count how much of a network a file computes in integers: its convolutions and their products.

A convolution counts where it reads quantized data and quantized weights, whatever its neighbours
do: that is what runtimes fuse into an integer kernel.
"""

from dataclasses import dataclass

from calib.graph import CONVOLUTIONS
from quant.analysis.multiplications import multiplications
from quant.qdq.view import QdqView

_INTEGER_OPERATORS = frozenset({"QLinearConv", "ConvInteger"})
_BYTES = frozenset({"int8", "uint8"})


@dataclass(frozen=True)
class Int8Share:
    """Which convolutions of a file compute in integers.

    Attributes:
        convolutions: names of all its convolutions, in graph order.
        integer: those of quantized data and quantized weights.
        wide: those of them whose data has more than 8 bits, such as ``qnn-w8a16``'s.
        macs: multiply-accumulates of all convolutions; 0 where a shape is not known.
        integer_macs: of the integer ones.
        wide_macs: of those whose data has more than 8 bits.
    """

    convolutions: tuple[str, ...]
    integer: tuple[str, ...]
    wide: tuple[str, ...]
    macs: int
    integer_macs: int
    wide_macs: int = 0

    @property
    def macs_in_8_bits(self) -> int:
        """Multiply-accumulates whose both factors have 8 bits."""
        return self.integer_macs - self.wide_macs

    def __str__(self) -> str:
        """Return the sentence that builds, reports and inspections say.

        >>> str(Int8Share(("a", "b"), ("a",), (), 10, 9))
        '1 of 2 convolutions in int8'
        >>> str(Int8Share(("a", "b"), ("a", "b"), ("b",), 10, 10))
        '2 of 2 convolutions in int8, 1 of them with 16-bit activations'
        """
        text = f"{len(self.integer)} of {len(self.convolutions)} convolutions in int8"
        if self.wide:
            text += f", {len(self.wide)} of them with 16-bit activations"
        return text

    def of_size(self, size_bytes: int, float_bytes: int) -> str:
        """Return the same sentence with the file's size beside the float file's.

        >>> Int8Share(("a", "b"), ("a",), (), 10, 9).of_size(30, 120)
        "1 of 2 convolutions in int8, 25 % of the float file's size"
        """
        return f"{self}, {100 * size_bytes / float_bytes:.0f} % of the float file's size"


def int8_share(view: QdqView) -> Int8Share:
    """Count the convolutions of any graph: QDQ, float, or of integer operators."""
    paired = {node.output[0]: data.dtype for node, data, _ in view.integer_convolutions()}
    convolutions: list[str] = []
    integer: list[str] = []
    wide: list[str] = []
    work: list[int] = []
    integer_work: list[int] = []
    wide_work: list[int] = []
    for node in view.operators:
        if node.op_type not in CONVOLUTIONS | _INTEGER_OPERATORS:
            continue
        made = node.output[0]
        name = node.name or made
        convolutions.append(name)
        work.append(multiplications(view.index, node))
        if made in paired or node.op_type in _INTEGER_OPERATORS:
            integer.append(name)
            integer_work.append(work[-1])
        if paired.get(made, "int8") not in _BYTES:
            wide.append(name)
            wide_work.append(work[-1])
    return Int8Share(
        tuple(convolutions),
        tuple(integer),
        tuple(wide),
        sum(work) if all(work) else 0,
        sum(integer_work),
        sum(wide_work),
    )
