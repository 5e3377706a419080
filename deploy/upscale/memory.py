"""Say what memory a network takes: in one stage, or with its head on tiles of its own."""

import math
from dataclasses import dataclass

from calib.graph import GraphIndex
from deploy.runtime.activations import peak_activation_bytes
from deploy.runtime.stages import Stages

MEMORY_MB = 1500
BASE_MB = 250
"""What a process takes beside pictures, tiles and weights: the interpreter and the runtimes."""

_WEIGHTS = 4  # in memory: the file's, a tile's graph, and the runtime's in two layouts
_HEAD_SHARE = 0.12  # of the memory, where a network runs in two stages


@dataclass(frozen=True)
class Copies:
    """How often a runtime keeps a float tensor, in another layout too.

    Attributes:
        trunk: before pictures grow, where a network runs in two stages.
        head: from there on.
        whole: where it runs in one.
    """

    trunk: float = 1.0
    head: float = 1.0
    whole: float = 1.0


ONCE = Copies()


@dataclass(frozen=True)
class Needs:
    """What memory a network takes.

    Attributes:
        most_bytes: that tiles, pictures and the head may take together.
        pixel_bytes: per pixel of a tile.
        head_bytes: that the head takes, where the network runs in two stages; 0 where in one.
        head_pixels: of the tensor that enters the head, how many the head takes at once.
    """

    most_bytes: float
    pixel_bytes: float
    head_bytes: float = 0.0
    head_pixels: float = 0.0

    @classmethod
    def of(
        cls,
        index: GraphIndex,
        stages: Stages | None,
        scale: int,
        memory_mb: float,
        copies: Copies,
    ) -> "Needs":
        """Return the needs of a network.

        Args:
            index: of the network.
            stages: in which it runs; ``None`` where in one.
            scale: output pixels per input pixel along one side.
            memory_mb: what the process may take, 10^6 bytes.
            copies: how often the runtime keeps a float tensor.
        """
        most_bytes = (memory_mb - BASE_MB) * 1e6 - _WEIGHTS * index.model.ByteSize()
        pixels = math.prod((index.shape(index.inputs[0]) or ())[2:])
        if stages is None:
            return cls(most_bytes, peak_activation_bytes(index, copies.whole) / pixels)
        before = GraphIndex(stages.trunk)
        (entering,) = before.outputs
        trunk = peak_activation_bytes(before, copies.trunk) + index.size_bytes(entering)
        drawn = 3 * scale**2 * 4  # float32
        head_bytes = _HEAD_SHARE * most_bytes
        head = peak_activation_bytes(stages.head, copies.head) / (pixels // stages.shrink**2)
        return cls(most_bytes, trunk / pixels + drawn, head_bytes, head_bytes / head)
