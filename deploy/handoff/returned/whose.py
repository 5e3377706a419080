"""Tell outputs that pass but look like those of another int8 model than they are judged as.

Two int8 models of one network err alike only where their scales are the same. An output that is
nearer to one of ours by :data:`PLAIN_DB` than that is to float shares at least three quarters of
its squared error: it was most likely made with its scales. So a return that is judged as of a
tool's own scales, or beside the model of another target, is told of; it passes all the same, as
nothing is wrong with it. So are outputs that are farther from our int8 than from float, which an
execution of the file seldom is, and such as are equally far from float on every picture.
"""

from collections.abc import Sequence

import numpy as np

from deploy.handoff.returned.image_verdict import ReturnedImage
from deploy.handoff.returned.limit import Limit

PLAIN_DB = 6.02
_ENOUGH = 4  # pictures
_ALIKE_DB = 0.2  # between the nearest and the farthest of them
_ROUNDING_DB = 50.0  # beyond, the 8-bit output alone may decide, which rounds all pictures alike


def doubt(images: Sequence[ReturnedImage], limit: Limit) -> str:
    """Say in one line as what else a return had better be judged; empty where nothing says so.

    Args:
        images: the verdicts on its outputs.
        limit: what they were held against.
    """
    if limit.precision != "int8" or not images or not all(image.passed for image in images):
        return ""
    return (
        _looks_like_another(images, limit)
        or _looks_like_noise(images)
        or _far_from_ours(images, limit)
    )


def _looks_like_another(images: Sequence[ReturnedImage], limit: Limit) -> str:
    """Say which of our int8 models all outputs are nearest to, where that is another one."""
    nearest = {image.nearest for image in images}
    if len(nearest) != 1:
        return ""
    (profile,) = nearest
    near_db = float(np.mean([image.nearest_db for image in images]))
    between_db, float_db = _means_db(images)
    if near_db < float_db + PLAIN_DB:
        return ""
    option = "" if profile == limit.profile else f" --profile {profile}"
    if limit.scales == "own":
        return (
            f"it looks like our int8 {profile}, {near_db:.1f} dB from that and {float_db:.1f} dB "
            f"from float: if a file with our scales ran, judge it with --scales ours{option}"
        )
    if not option or near_db < between_db + PLAIN_DB:
        return ""
    return (
        f"it looks like our int8 {profile}, {near_db:.1f} dB from that and {between_db:.1f} dB "
        f"from {limit.profile}: if that ran, judge it with{option} and the --vendor whose it is"
    )


def _looks_like_noise(images: Sequence[ReturnedImage]) -> str:
    """Say that all outputs are as far from float as each other, as those of no int8 model are."""
    found = sorted(image.psnr_db for image in images)
    if len(found) < _ENOUGH or found[-1] - found[0] > _ALIKE_DB or found[-1] > _ROUNDING_DB:
        return ""
    return (
        f"every picture is {found[0]:.2f} to {found[-1]:.2f} dB from float: int8 is nearer on some "
        "pictures than on others, noise of one strength on float is not; ask what ran"
    )


def _far_from_ours(images: Sequence[ReturnedImage], limit: Limit) -> str:
    """Say that outputs with our scales are farther from our int8 than from float."""
    between_db, float_db = _means_db(images)
    if limit.scales != "ours" or between_db >= float_db:
        return ""
    return (
        f"it is farther from our int8 {limit.profile} ({between_db:.1f} dB) than from float "
        f"({float_db:.1f} dB): another machine's rounding may do that, and so does the file of "
        "another target; ask which ran"
    )


def _means_db(images: Sequence[ReturnedImage]) -> tuple[float, float]:
    """Return the mean parity with our int8, and with float."""
    between_db = float(np.mean([image.between_db for image in images]))
    return between_db, float(np.mean([image.psnr_db for image in images]))
