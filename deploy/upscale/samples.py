"""Turn samples of a picture into network input, and what the network draws into samples.

colour   gray three times, or RGB:     samples / (2^bits - 1), float32 [1, 3, h, w]
         for a network of gray:        gray alone, float32 [1, 1, h, w]
alpha    enlarged apart, as gray is; where it is the same everywhere it stays that
back     mean over the three for gray; clip to [0, 1], times 2^bits - 1, round half to even
"""

from dataclasses import dataclass

import cv2
import numpy as np

from calib.arrays import AnyArray, Float32, Floating
from calib.colours import RGB, Channels
from calib.errors import VerificationError


@dataclass(frozen=True, eq=False)
class Layer:
    """Channels of a picture that pass the network together: its colour, or its alpha.

    Attributes:
        samples: uint8 or uint16 [H, W, C] of one or three channels.
        planes: channels that the network takes; where it takes one, so are those of the samples.
    """

    samples: AnyArray
    planes: Channels = RGB

    @property
    def constant(self) -> bool:
        """Whether all samples of a single channel are the same."""
        return self.samples.shape[2] == 1 and bool(self.samples.min() == self.samples.max())

    def network_input(self, rows: slice, columns: slice) -> Float32:
        """Return a part of it as float32 [1, planes, h, w] in [0, 1]."""
        part = self.samples[rows, columns].transpose(2, 0, 1)
        planes: Float32 = np.empty((1, self.planes, *part.shape[1:]), np.float32)
        planes[0] = part  # gray for RGB: the one channel three times
        planes /= np.float32(np.iinfo(self.samples.dtype).max)
        return planes

    def finished(self, drawn: Floating) -> AnyArray:
        """Return float [planes, h, w] that the network drew as samples [C, h, w].

        Raises:
            VerificationError: it holds NaN or infinity: the network overflowed.
        """
        if not np.isfinite(drawn).all():
            raise VerificationError(
                "the network drew NaN or infinite values: it overflowed or its weights are damaged"
            )
        if self.samples.shape[2] == 1:
            drawn = drawn.mean(axis=0, keepdims=True)
        most = np.float32(np.iinfo(self.samples.dtype).max)
        finished: AnyArray = np.rint(np.clip(drawn, 0, 1) * most).astype(self.samples.dtype)
        return finished


def layers_of(samples: AnyArray, planes: Channels = RGB) -> tuple[Layer, ...]:
    """Return the colour of a picture [H, W, C], and its alpha where it has one."""
    channels = samples.shape[2]
    if channels in (1, 3):
        return (Layer(samples, planes),)
    parts = samples[:, :, : channels - 1], samples[:, :, channels - 1 :]
    return tuple(Layer(part, planes) for part in parts)


def in_gray(samples: AnyArray) -> AnyArray:
    """Return the luma of samples [H, W, C] (BT.601, as in `calib.images`), and their alpha."""
    if samples.shape[2] < RGB:
        return samples
    luma = cv2.cvtColor(np.ascontiguousarray(samples[:, :, :RGB]), cv2.COLOR_RGB2GRAY)
    return np.dstack([luma, samples[:, :, RGB:]])


def channels_drawn(channels: int, planes: Channels) -> int:
    """Return how many channels of a picture are drawn: a network of gray draws gray, and alpha.

    >>> [channels_drawn(channels, 1) for channels in (1, 2, 3, 4)]
    [1, 2, 1, 2]
    """
    return channels if planes == RGB else 2 - channels % 2
