"""Score int8 models on pairs of photographs by the vendor table's protocol, and against float.

The protocol is that of deploy/evaluate/protocols.py, at a fixed size. int8 models run in QDQ
reference semantics; the float model runs optimized, which differs from unoptimized by rounding
alone. Parity is measured on outputs clipped to [0, 1].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from quality.builds import Candidate
from quality.kept_scores import kept_scores

from calib.arrays import Float32
from calib.colours import RGB
from calib.dataset import PatchSet
from calib.digest import sha256_bytes
from calib.div2k import Pair
from calib.errors import VerificationError
from calib.images import Picture, read_image, resize_area, to_input, to_picture
from calib.tile import USUAL_PX
from deploy.evaluate.protocols import reference_picture
from deploy.metrics.psnr_ssim import parity_db, psnr_db, ssim
from deploy.runtime.runner import model_runner

HEAD = """\
| int8 | PSNR dB | less float's | SSIM | less float's | parity dB mean | min | of fp32 | wall s \
| CPU s | peak MB |
|---|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Score:
    """One model on one pair."""

    name: str
    psnr_db: float
    ssim: float
    parity_db: float


@dataclass(frozen=True, eq=False)
class Scored:
    """A pair ready for scoring: the network's input, the HR picture, what the float model drew."""

    name: str
    network_input: Float32
    photograph: Picture
    expected: Float32


@dataclass(frozen=True, eq=False)
class PairsTable:
    """A table of how near models come to photographs and to float.

    Attributes:
        float_bytes: size of the float model.
        pairs: what is scored on.
    """

    float_bytes: int
    pairs: tuple[Scored, ...]

    @classmethod
    def of(cls, float_model: Path, pairs: Sequence[Pair], calibrated_on: PatchSet) -> "PairsTable":
        """Run the float model on every pair.

        Raises:
            VerificationError: a pair was calibrated on.
        """
        known = {patch.sha256 for patch in calibrated_on.patches}
        run = model_runner(float_model, optimized=True)
        prepared = []
        for pair in pairs:
            small = resize_area(read_image(pair.lr), USUAL_PX, USUAL_PX)
            if sha256_bytes(small.tobytes()) in known:
                raise VerificationError(f"{pair.name} was calibrated on; score on others")
            network_input = to_input(small, RGB)
            expected = np.clip(run(network_input), 0.0, 1.0)
            photograph = reference_picture(pair, expected.shape[-1] // USUAL_PX)
            prepared.append(Scored(pair.name, network_input, photograph, expected))
        return cls(float_model.stat().st_size, tuple(prepared))

    def head(self) -> Iterator[str]:
        """Yield the table's head and the line of the float model."""
        psnr, similarity = self._float_means()
        yield f"{len(self.pairs)} pairs:\n\n{HEAD}"
        yield f"| float | {psnr:.3f} | - | {similarity:.4f} | - | - | - | - | - | - | - |"

    def line(self, candidate: Candidate) -> str:
        """Score a model and return its line."""
        rows = kept_scores(candidate.path, "pairs", self.pairs, Score, _score)
        psnr, similarity = _means(rows)
        float_psnr, float_similarity = self._float_means()
        parity = [row.parity_db for row in rows]
        cost = candidate.cost
        figures = (cost.seconds, cost.cpu_seconds, cost.peak_mb) if cost is not None else ()
        spent = " | ".join(f"{figure:.0f}" for figure in figures) or "- | - | -"
        return (
            f"| {candidate.label} | {psnr:.3f} | {psnr - float_psnr:+.4f} | {similarity:.4f} | "
            f"{similarity - float_similarity:+.4f} | {np.mean(parity):.2f} | {min(parity):.2f} | "
            f"{candidate.path.stat().st_size / self.float_bytes:.1%} | {spent} |"
        )

    def failed(self, words: str) -> str:
        """Return the line of a model that could not be made."""
        return f"| {words} | | | | | | | | | | |"

    def _float_means(self) -> tuple[float, float]:
        return _means([_score(pair, pair.expected) for pair in self.pairs])


def _score(pair: Scored, output: Float32) -> Score:
    picture = to_picture(output)
    return Score(
        pair.name,
        psnr_db(pair.photograph, picture),
        ssim(pair.photograph, picture),
        parity_db(pair.expected, output),
    )


def _means(rows: Sequence[Score]) -> tuple[float, float]:
    return float(np.mean([row.psnr_db for row in rows])), float(np.mean([row.ssim for row in rows]))
