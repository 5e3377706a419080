"""Run models on pictures and keep what they draw: whoever compares sees arrays only."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from calib.arrays import Float32
from calib.dataset import PatchRef
from calib.images import to_input
from deploy.progress import Advance
from deploy.runtime.runner import Runner

MOST_WORKERS = 4
"""How many inferences run side by side: each holds some 0.4 GB of activations of x4plus."""


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
    network_input: Float32
    reference: Float32
    candidate: Float32


@dataclass(frozen=True, eq=False)
class Outputs:
    """What several models drew of the same pictures.

    Attributes:
        images: names of the pictures.
        inputs: float32 [1, 3, H, W] in [0, 1], one for each picture.
        by_file: float32 [1, 3, H*scale, W*scale] by model and in the order of the pictures.
    """

    images: tuple[str, ...] = ()
    inputs: tuple[Float32, ...] = ()
    by_file: Mapping[str, tuple[Float32, ...]] = field(default_factory=dict)

    def first(self, count: int) -> "Outputs":
        """Return what was drawn of the first ``count`` pictures."""
        by_file = {name: drawn[:count] for name, drawn in self.by_file.items()}
        return Outputs(self.images[:count], self.inputs[:count], by_file)

    def pairs(self, reference: str, candidate: str) -> tuple[OutputPair, ...]:
        """Return each picture as two models drew it."""
        columns = (self.images, self.inputs, self.by_file[reference], self.by_file[candidate])
        return tuple(OutputPair(*row) for row in zip(*columns, strict=True))

    def output(self, file: str, image: str) -> Float32 | None:
        """Return what a model drew of a picture, or ``None`` where it was not run on it."""
        if file not in self.by_file or image not in self.images:
            return None
        return self.by_file[file][self.images.index(image)]


def run_models(  # noqa: PLR0913, PLR0917  # four of them have defaults
    runners: Mapping[str, Runner],
    patches: Sequence[PatchRef],
    workers: int = 1,
    advance: Advance = lambda: None,
    known: Outputs | None = None,
    batch: int = 1,
) -> Outputs:
    """Run every model on every picture.

    Args:
        runners: the models by name.
        patches: the pictures.
        workers: how many inferences run side by side.
        advance: called after each picture.
        known: what some of them draw of some pictures, and need not draw again.
        batch: pictures that one inference takes.
    """
    known = known or Outputs()
    names = tuple(patch.name for patch in patches)
    inputs = tuple(to_input(patch.load()) for patch in patches)
    groups = [slice(start, start + batch) for start in range(0, len(names), batch)]
    by_file: dict[str, list[Float32]] = {name: [] for name in runners}
    with ThreadPoolExecutor(workers) as pool:
        rows = [
            {
                file: pool.submit(run, np.concatenate(inputs[group]))
                for file, run in runners.items()
                if any(known.output(file, name) is None for name in names[group])
            }
            for group in groups
        ]
        for group, row in zip(groups, rows, strict=True):
            for file in runners:
                if file in row:
                    by_file[file] += np.split(row[file].result(), len(names[group]))
                else:
                    found = [known.output(file, name) for name in names[group]]
                    by_file[file] += [output for output in found if output is not None]
            for _ in names[group]:
                advance()
    return Outputs(names, inputs, {name: tuple(found) for name, found in by_file.items()})
