"""Run models on pictures and keep what they draw: whoever compares sees arrays only."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from calib.arrays import Float32
from calib.dataset import PatchRef
from calib.images import to_input
from calib.output_kind import OutputKind
from calib.tile import USUAL_TILE, Tile
from deploy.progress import Advance
from deploy.runtime.runner import Runner

MOST_WORKERS = 4
"""How many inferences run side by side: each holds some 0.4 GB of activations of x4plus. Each may
use every core: what one leaves idle another takes, up to the end of the last."""

_HELD = 8


def held_at_once(batch: int) -> int:
    """Return how many pictures' outputs are held at once: whole batches, some 8 pictures.

    They take 3 MB for each model and picture of 512x512.

    Args:
        batch: pictures that one inference takes.

    >>> held_at_once(1), held_at_once(3), held_at_once(16)
    (8, 6, 16)
    """
    return max(1, _HELD // batch) * batch


Drawn = Mapping[tuple[str, str], Float32]
"""What a file draws of a picture, float32 [1, 3, H*scale, W*scale], by the names of the two."""


@dataclass(frozen=True, eq=False)
class OutputPair:
    """One picture as two networks drew it.

    Attributes:
        name: of the picture.
        network_input: float32 [1, C, H, W] in [0, 1].
        reference: float32 [1, C, H*scale, W*scale] of the network that is right.
        candidate: the same shape, of the network that is judged.
        kind: what the two are.
    """

    name: str
    network_input: Float32
    reference: Float32
    candidate: Float32
    kind: OutputKind = "picture"


@dataclass(frozen=True, eq=False)
class Outputs:
    """What several models drew of the same pictures.

    Attributes:
        images: names of the pictures.
        inputs: float32 [1, C, H, W] in [0, 1], one for each picture.
        by_file: float32 [1, C, H*scale, W*scale] by model and in the order of the pictures.
    """

    images: tuple[str, ...] = ()
    inputs: tuple[Float32, ...] = ()
    by_file: Mapping[str, tuple[Float32, ...]] = field(default_factory=dict)

    def first(self, count: int) -> "Outputs":
        """Return what was drawn of the first ``count`` pictures."""
        by_file = {name: drawn[:count] for name, drawn in self.by_file.items()}
        return Outputs(self.images[:count], self.inputs[:count], by_file)

    def pairs(self, reference: str, candidate: str, kind: OutputKind) -> tuple[OutputPair, ...]:
        """Return each picture as two models drew it, and what that is."""
        columns = (self.images, self.inputs, self.by_file[reference], self.by_file[candidate])
        return tuple(OutputPair(*row, kind) for row in zip(*columns, strict=True))

    def output(self, file: str, image: str) -> Float32 | None:
        """Return what a model drew of a picture, or ``None`` where it was not run on it."""
        return self.drawn().get((file, image))

    def drawn(self) -> Drawn:
        """Return every output by its file and picture."""
        return {
            (file, image): output
            for file, outputs in self.by_file.items()
            for image, output in zip(self.images, outputs, strict=True)
        }


def run_models(  # noqa: PLR0913  # four of them have defaults
    runners: Mapping[str, Runner],
    patches: Sequence[PatchRef],
    *,
    workers: int = 1,
    advance: Advance = lambda: None,
    known: Drawn = MappingProxyType({}),
    tile: Tile = USUAL_TILE,
) -> Outputs:
    """Run every model on every picture.

    Args:
        runners: the models by name; one whose every output is known need not be among them.
        patches: the pictures.
        workers: how many inferences run side by side.
        advance: called after each picture.
        known: what need not be drawn again.
        tile: the fixed input: how many pictures an inference takes, of how many channels.
    """
    names = tuple(patch.name for patch in patches)
    inputs = tuple(to_input(patch.load(), tile.channels) for patch in patches)
    batch = tile.batch
    jobs = [
        (file, start)
        for start in range(0, len(names), batch)
        for file in runners
        if any((file, name) not in known for name in names[start : start + batch])
    ]
    drawn = dict(known)

    def draw(run: Runner, file: str, start: int) -> Drawn:
        group = slice(start, start + batch)
        outputs = np.split(run(np.concatenate(inputs[group])), len(names[group]))
        return {(file, name): one for name, one in zip(names[group], outputs, strict=True)}

    with ThreadPoolExecutor(workers) as pool:
        pending = {job: pool.submit(draw, runners[job[0]], *job) for job in jobs}
        for start in range(0, len(names), batch):
            for file in runners:
                if (file, start) in pending:
                    drawn |= pending[file, start].result()
            for _ in names[start : start + batch]:
                advance()
    files = dict.fromkeys(file for file, _ in drawn)
    by_file = {
        file: tuple(drawn[file, name] for name in names)
        for file in files
        if all((file, name) in drawn for name in names)
    }
    return Outputs(names, inputs, by_file)
