"""Score a network on pairs of photographs with PSNR and SSIM, at a fixed or at the true size.

``fixed``, the vendor table's protocol; both pictures lose their aspect ratio alike:

    LR file  -> input size (128x128), INTER_AREA -> / 255 -> network -> clip, * 255, round -> uint8
    HR file  -> that size times scale by INTER_AREA  (512x512 at scale 4)  -> uint8

``source``, what a user sees; a network of fixed size runs in tiles (`deploy.runtime.tiling`):

    LR file  -> / 255 -> network -> clip, * 255, round -> uint8
    HR file  -> cropped at the right and below to scale * LR, where it is a few pixels larger

Networks of gray get the luma of LR and are held against that of HR (`calib.images`).

PSNR over all RGB values, SSIM as in `deploy.metrics.psnr_ssim`; the score of a set is the mean
over its images.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from calib.arrays import Float32
from calib.colours import RGB, Channels
from calib.div2k import Pair
from calib.errors import ImageSetError, VerificationError
from calib.images import Picture, in_channels, read_image, resize_area, to_input, to_picture
from calib.tile import USUAL_TILE, Tile
from deploy.metrics.psnr_ssim import psnr_db, ssim
from deploy.progress import Advance
from deploy.runtime.runner import Runner

Shape = Literal["fixed", "source"]

OnPicture = Callable[[Pair, Picture, Picture], None]
"""Receives a pair, what the network should have drawn of it, and what it drew."""


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


def evaluation_input(pair: Pair, tile: Tile = USUAL_TILE) -> Float32:
    """Return the network's input for a pair, float32 [1, C, H, W] of that tile in [0, 1].

    Raises:
        ImageError: the LR file does not decode.
    """
    return to_input(resize_area(read_image(pair.lr), *tile.sides), tile.channels)


def reference_picture(pair: Pair, scale: int, tile: Tile = USUAL_TILE) -> Picture:
    """Return what the network's picture is compared with, uint8 [H*scale, W*scale, 3].

    Raises:
        ImageError: the HR file does not decode.
    """
    hr = resize_area(read_image(pair.hr), *(side * scale for side in tile.sides))
    return in_channels(hr, tile.channels)


def source_pictures(pair: Pair, scale: int, channels: Channels = RGB) -> tuple[Float32, Picture]:
    """Return input and reference of a pair at its true size.

    Returns:
        float32 [1, C, H, W] in [0, 1] and uint8 [H*scale, W*scale, 3].

    Raises:
        ImageError: a file does not decode.
        ImageSetError: the HR file does not belong to the LR file at this scale.
    """
    lr, hr = read_image(pair.lr), read_image(pair.hr)
    height, width = lr.shape[0] * scale, lr.shape[1] * scale
    spare = (hr.shape[0] - height, hr.shape[1] - width)
    if not all(0 <= pixels < scale for pixels in spare):
        raise ImageSetError(
            f"{pair.hr} has {hr.shape[0]}x{hr.shape[1]} pixels, expected {height}x{width}: it is "
            f"not the HR picture of {pair.lr.name} at scale {scale}"
        )
    reference = in_channels(np.ascontiguousarray(hr[:height, :width]), channels)
    return to_input(lr, channels), reference


def evaluate(  # noqa: PLR0913  # four of them have defaults
    run: Runner,
    pairs: Iterable[Pair],
    *,
    scale: int = 4,
    shape: Shape = "fixed",
    tile: Tile = USUAL_TILE,
    on_picture: OnPicture | None = None,
    advance: Advance = lambda: None,
) -> Scores:
    """Score a network on every pair.

    Args:
        run: maps float32 [1, C, H, W] to float32 [1, C, H*scale, W*scale]; of ``tile`` if the
            shape is fixed, else of any (`deploy.runtime.tiling.tiled_runner`).
        pairs: what to score on; nothing of it may have been calibrated on.
        scale: the network's enlargement.
        shape: which of the two protocols.
        tile: the network's input: its channels, and its sides where the shape is fixed.
        on_picture: called with each pair and its two pictures.
        advance: called after each image.

    Raises:
        ImageError: a file does not decode.
        ImageSetError: an HR file does not belong to its LR file.
        VerificationError: an output has another shape or is not finite, or there is no pair.
    """
    scores = []
    for pair in pairs:
        if shape == "fixed":
            network_input = evaluation_input(pair, tile)
            reference = reference_picture(pair, scale, tile)
        else:
            network_input, reference = source_pictures(pair, scale, tile.channels)
        picture = to_picture(run(network_input))
        scores.append(ImageScore(pair.name, psnr_db(reference, picture), ssim(reference, picture)))
        if on_picture is not None:
            on_picture(pair, reference, picture)
        advance()
    return Scores(tuple(scores))
