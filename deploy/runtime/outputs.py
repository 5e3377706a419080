"""Run models on pictures and keep what they draw: whoever compares sees arrays only."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib.dataset import PatchRef
from calib.images import to_input
from deploy.progress import Advance
from deploy.runtime.runner import Runner

MOST_WORKERS = 4


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


def shares(jobs: int) -> tuple[int, int]:
    """Return how many inferences to run side by side, and threads for each.

    Two inferences on a core each take 10 to 18 % less time than one after the other on both
    (x4plus, 2 cores), and draw the same bits. Each holds some 0.4 GB of activations, hence the
    limit.

    Args:
        jobs: inferences in all.
    """
    cores = os.cpu_count() or 1
    workers = max(1, min(cores, jobs, MOST_WORKERS))
    return workers, max(1, cores // workers)


def run_models(
    runners: Mapping[str, Runner],
    patches: Sequence[PatchRef],
    workers: int = 1,
    advance: Advance = lambda: None,
    known: Outputs | None = None,
) -> Outputs:
    """Run every model on every picture.

    Args:
        runners: the models by name.
        patches: the pictures.
        workers: how many inferences run side by side.
        advance: called after each picture.
        known: what some of them draw of some pictures, and need not draw again.
    """
    known = known or Outputs()
    names = tuple(patch.name for patch in patches)
    inputs = tuple(to_input(patch.load()) for patch in patches)
    by_file: dict[str, list[NDArray[np.float32]]] = {name: [] for name in runners}
    with ThreadPoolExecutor(workers) as pool:
        rows = [
            {
                file: pool.submit(run, values)
                for file, run in runners.items()
                if known.output(file, name) is None
            }
            for name, values in zip(names, inputs, strict=True)
        ]
        for name, row in zip(names, rows, strict=True):
            for file, drawn in by_file.items():
                output = row[file].result() if file in row else known.output(file, name)
                assert output is not None  # else it would have been run
                drawn.append(output)
            advance()
    return Outputs(names, inputs, {name: tuple(found) for name, found in by_file.items()})
