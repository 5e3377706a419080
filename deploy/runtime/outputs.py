"""Run models on pictures and keep what they draw: whoever compares sees arrays only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib.dataset import PatchRef
from calib.images import to_input
from deploy.progress import Advance
from deploy.runtime.runner import Runner


@dataclass(frozen=True, eq=False)
class OutputPair:
    """One picture as two networks drew it.

    Attributes:
        name: of the picture.
        network_input: float32 [1, 3, H, W] in [0, 1].
        reference: float32 [1, 3, H*scale, W*scale] of the network that is right.
        candidate: the same shape, of the network that is judged.
    """

    name: str
    network_input: NDArray[np.float32]
    reference: NDArray[np.float32]
    candidate: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What several models drew of the same pictures.

    Attributes:
        images: names of the pictures.
        inputs: float32 [1, 3, H, W] in [0, 1], one for each picture.
        by_file: float32 [1, 3, H*scale, W*scale] by model and in the order of the pictures.
    """

    images: tuple[str, ...] = ()
    inputs: tuple[NDArray[np.float32], ...] = ()
    by_file: Mapping[str, tuple[NDArray[np.float32], ...]] = field(default_factory=dict)

    def first(self, count: int) -> "Outputs":
        """Return what was drawn of the first ``count`` pictures."""
        by_file = {name: drawn[:count] for name, drawn in self.by_file.items()}
        return Outputs(self.images[:count], self.inputs[:count], by_file)

    def pairs(self, reference: str, candidate: str) -> tuple[OutputPair, ...]:
        """Return each picture as two models drew it."""
        columns = (self.images, self.inputs, self.by_file[reference], self.by_file[candidate])
        return tuple(OutputPair(*row) for row in zip(*columns, strict=True))

    def output(self, file: str, image: str) -> NDArray[np.float32] | None:
        """Return what a model drew of a picture, or ``None`` where it was not run on it."""
        if file not in self.by_file or image not in self.images:
            return None
        return self.by_file[file][self.images.index(image)]


def run_models(
    runners: Mapping[str, Runner], patches: Sequence[PatchRef], advance: Advance = lambda: None
) -> Outputs:
    """Run every model on every picture.

    Args:
        runners: the models by name.
        patches: the pictures.
        advance: called after each picture.
    """
    inputs = []
    by_file: dict[str, list[NDArray[np.float32]]] = {name: [] for name in runners}
    for patch in patches:
        inputs.append(to_input(patch.load()))
        for name, run in runners.items():
            by_file[name].append(run(inputs[-1]))
        advance()
    names = tuple(patch.name for patch in patches)
    return Outputs(names, tuple(inputs), {name: tuple(drawn) for name, drawn in by_file.items()})
