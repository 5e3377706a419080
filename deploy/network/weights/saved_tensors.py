"""Hold what a weights file names before it is known which of it is the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from calib.arrays import AnyArray


@dataclass(frozen=True)
class SavedTensor:
    """A tensor of a file, not yet converted: files hold far more than the network.

    Attributes:
        shape: its sizes.
        dtype: element type as the file calls it.
        floating: whether its elements are floating point.
        read: makes it an array: float32 where it is floating, else of its own type.
    """

    shape: tuple[int, ...]
    dtype: str
    floating: bool
    read: Callable[[], AnyArray] = field(repr=False, compare=False)

    @property
    def counts(self) -> bool:
        """Tell whether it is a counter: one integer, such as ``n_averaged``."""
        return not self.floating and all(size == 1 for size in self.shape)


@dataclass(frozen=True)
class OtherValue:
    """Something in a file that is no tensor.

    Attributes:
        kind: name of its type.
    """

    kind: str


Saved: TypeAlias = SavedTensor | OtherValue
Entries: TypeAlias = Mapping[str, Saved]
"""Everything in a file by the path of its names, joined by dots."""
