"""Score pictures with the discriminator of a training: how much of a photograph it takes them for.

The network judges each pixel by a logit; its sigmoid is the probability that the pixel is of a
photograph and not drawn by the generator it was trained against. Training shows it squares of 256
pixels, so pictures are judged in such squares, the last of a row or column moved inwards to end
with the picture, and averaged. A smaller picture is one square, cut to multiples of 8.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import RGB
from calib.div2k import Pair
from calib.errors import ImageError
from calib.images import Picture, to_input
from deploy.evaluate.protocols import OnPicture
from deploy.network.discriminator import SIDES_DIVIDE_BY, discriminator_graph
from deploy.network.weights.checkpoint import Checkpoint
from deploy.network.weights.discriminator import load_discriminator
from deploy.runtime.runner import Runner, model_runner

SQUARE_PX = 256


@dataclass(frozen=True)
class CriticScore:
    """How much of a photograph a picture is taken for.

    Attributes:
        logit: mean over its pixels; above 0: more likely than not.
        probability: mean of the logits' sigmoid.
    """

    logit: float
    probability: float

    @classmethod
    def mean(cls, scores: list["CriticScore"]) -> "CriticScore":
        """Return the mean of at least one score."""
        count = len(scores)
        return cls(
            math.fsum(score.logit for score in scores) / count,
            math.fsum(score.probability for score in scores) / count,
        )


@dataclass
class Critic:
    """A discriminator that judges pictures of any size.

    Attributes:
        checkpoint: its weights.
    """

    checkpoint: Checkpoint
    _runs: dict[tuple[int, int], Runner] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Critic":
        """Read a discriminator.

        Raises:
            WeightsError: the file holds no U-Net discriminator.
        """
        return cls(load_discriminator(path))

    def score(self, picture: Picture) -> CriticScore:
        """Judge a picture, uint8 [H, W, 3] in RGB.

        Raises:
            ImageError: a side is shorter than 8 pixels.
        """
        judged = [_score(self._run(square)) for square in squares(picture)]
        return CriticScore.mean(judged)

    def _run(self, square: Picture) -> Float32:
        height, width = square.shape[:2]
        if (height, width) not in self._runs:
            graph = discriminator_graph(self.checkpoint.tensors, height, width)
            self._runs = {(height, width): model_runner(graph, optimized=True)}
        return self._runs[height, width](to_input(square, RGB))


def squares(picture: Picture) -> Iterator[Picture]:
    """Yield the squares of a picture that are judged, all of one size.

    Raises:
        ImageError: a side is shorter than 8 pixels.

    >>> [square.shape for square in squares(np.zeros((300, 100, 3), np.uint8))]
    [(256, 96, 3), (256, 96, 3)]
    """
    height, width = (
        min(SQUARE_PX, side // SIDES_DIVIDE_BY * SIDES_DIVIDE_BY) for side in picture.shape[:2]
    )
    if 0 in (height, width):
        raise ImageError(
            f"found a picture of {picture.shape[0]}x{picture.shape[1]} pixels to be judged by a "
            f"discriminator; expected sides of at least {SIDES_DIVIDE_BY}"
        )
    for top in _starts(picture.shape[0], height):
        for left in _starts(picture.shape[1], width):
            yield np.ascontiguousarray(picture[top : top + height, left : left + width])


def _starts(side: int, length: int) -> list[int]:
    starts = list(range(0, side - length + 1, length))
    over = side - (starts[-1] + length)
    return [*starts, side - length] if over >= SIDES_DIVIDE_BY else starts


def _score(logits: Float32) -> CriticScore:
    values = logits.astype(np.float64)
    return CriticScore(float(values.mean()), float((1 / (1 + np.exp(-values))).mean()))


@dataclass
class CriticMeter:
    """Gathers scores of the photographs, once, and of one model's pictures at a time."""

    critic: Critic
    photographs: dict[tuple[str, int], CriticScore] = field(default_factory=dict)
    drawn: list[CriticScore] = field(default_factory=list)

    def scored(self, scale: int) -> OnPicture:
        """Return what receives a model's pictures; those of the model before are forgotten."""
        self.drawn = []

        def on_picture(pair: Pair, reference: Picture, picture: Picture) -> None:
            key = pair.name, scale
            if key not in self.photographs:
                self.photographs[key] = self.critic.score(reference)
            self.drawn.append(self.critic.score(picture))

        return on_picture

    def mean(self) -> CriticScore:
        """Return the mean over the pictures of the model."""
        return CriticScore.mean(self.drawn)

    def note(self) -> str:
        """Return what a reader must know to compare the figures."""
        origin = self.critic.checkpoint.origin
        photographs = CriticScore.mean(list(self.photographs.values()))
        return (
            f"critic: mean logit of the discriminator of {origin}, above 0 where it takes a pixel "
            f"for a photograph's; the photographs themselves have {photographs.logit:.3f}"
        )
