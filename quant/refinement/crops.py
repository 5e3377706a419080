"""Draw small crops of pictures to learn from, some of them in other colours.

Calibration pictures hold few saturated colours, and a network that learns from them alone gives up
what it draws of others. Where the colour channels of a crop change places, its content stays, and
sky, skin and leaves have the colours of what is rare.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from calib.arrays import Float32
from quant.refinement.schedule import Schedule


def crops(pictures: Sequence[Float32], schedule: Schedule) -> Iterator[torch.Tensor]:
    """Yield crops without end: each round through the pictures in an order of its own.

    Args:
        pictures: float32 ``[1,C,H,W]``.
        schedule: the side of a crop, and the share in other colours; its seed draws both.

    Yields:
        float32 ``[1,C,S,S]``, smaller where a picture is.
    """
    rng = np.random.default_rng(schedule.seed)
    # Crops lie where they do whatever becomes of their colours.
    colours = np.random.default_rng([schedule.seed, 1])
    while True:
        for number in rng.permutation(len(pictures)):
            picture = pictures[number]
            height, width = (min(side, schedule.crop_px) for side in picture.shape[2:])
            top = int(rng.integers(picture.shape[2] - height + 1))
            left = int(rng.integers(picture.shape[3] - width + 1))
            crop = picture[:, :, top : top + height, left : left + width]
            if colours.random() < schedule.recoloured:
                crop = crop[:, colours.permutation(crop.shape[1])]
            yield torch.from_numpy(np.ascontiguousarray(crop))
