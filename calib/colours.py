"""Say of how many channels pictures are: three of RGB, or one of gray."""

from typing import Literal, TypeAlias

Channels: TypeAlias = Literal[1, 3]

GRAY: Literal[1] = 1
RGB: Literal[3] = 3


def channels_of(count: object) -> Channels:
    """Return how many channels the pictures of a network have whose input says ``count``.

    >>> channels_of(1), channels_of(3), channels_of("C")
    (1, 3, 3)
    """
    return GRAY if count == GRAY else RGB
