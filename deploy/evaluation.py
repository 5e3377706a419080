"""A network and pairs of photographs in, PSNR and SSIM by the vendor table's protocol out.

    LR file  -> 128x128 by INTER_AREA -> / 255 -> network -> clip, * 255, round -> uint8
    HR file  -> 128*scale x 128*scale by INTER_AREA  (512x512 at scale 4)  -> uint8

PSNR over all RGB values, SSIM as in `deploy.metrics`; the score of a set is the mean over its
images. Both pictures lose their aspect ratio alike.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from calib.div2k import Pair
from calib.errors import VerificationError
from calib.images import PATCH_PX, Picture, Tensor, read_image, resize_area, to_input, to_picture
from deploy.metrics import psnr_db, ssim
from deploy.parity import Runner
from deploy.progress import Advance


@dataclass(frozen=True)
class ImageScore:
    """How near one enlarged picture comes to its HR photograph.

    Attributes:
        name: the HR file's stem.
        psnr_db: over uint8 RGB, in dB.
        ssim: mean structural similarity.
    """

    name: str
    psnr_db: float
    ssim: float


@dataclass(frozen=True)
class Scores:
    """The scores of one network on a set of images.

    Attributes:
        images: one score per image, at least one.
    """

    images: tuple[ImageScore, ...]

    def __post_init__(self) -> None:
        if not self.images:
            raise VerificationError("no image was scored; expected at least one evaluation pair")

    @property
    def psnr_db(self) -> float:
        """Mean PSNR over the images, in dB."""
        return math.fsum(score.psnr_db for score in self.images) / len(self.images)

    @property
    def ssim(self) -> float:
        """Mean SSIM over the images."""
        return math.fsum(score.ssim for score in self.images) / len(self.images)

    def record(self) -> dict[str, Any]:
        """Return the means and every image's scores as JSON values."""
        return {
            "psnr_db": self.psnr_db,
            "ssim": self.ssim,
            "count": len(self.images),
            "images": [asdict(score) for score in self.images],
        }


def evaluation_input(pair: Pair) -> Tensor:
    """Return the network's input for a pair, float32 [1, 3, 128, 128] in [0, 1].

    Raises:
        ImageError: the LR file does not decode.
    """
    return to_input(resize_area(read_image(pair.lr), PATCH_PX, PATCH_PX))


def reference_picture(pair: Pair, scale: int) -> Picture:
    """Return what the network's picture is compared with, uint8 [128*scale, 128*scale, 3].

    Raises:
        ImageError: the HR file does not decode.
    """
    return resize_area(read_image(pair.hr), PATCH_PX * scale, PATCH_PX * scale)


def evaluate(
    run: Runner,
    pairs: Iterable[Pair],
    *,
    scale: int = 4,
    advance: Advance = lambda: None,
) -> Scores:
    """Score a network on every pair.

    Args:
        run: maps float32 [1, 3, 128, 128] to float32 [1, 3, 128*scale, 128*scale].
        pairs: what to score on; nothing of it may have been calibrated on.
        scale: the network's enlargement.
        advance: called after each image.

    Raises:
        ImageError: a file does not decode.
        VerificationError: an output has another shape or is not finite, or there is no pair.
    """
    scores = []
    for pair in pairs:
        picture = to_picture(run(evaluation_input(pair)))
        reference = reference_picture(pair, scale)
        scores.append(ImageScore(pair.name, psnr_db(reference, picture), ssim(reference, picture)))
        advance()
    return Scores(tuple(scores))
