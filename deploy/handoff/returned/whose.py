"""Tell outputs that pass but look like those of another int8 model than they are judged as.

Two int8 models of one network err alike only where their scales are the same. An output that is
nearer to one of ours by :data:`PLAIN_DB` than that is to float shares at least three quarters of
its squared error: it was most likely made with its scales. So a return that is judged as of a
tool's own scales, or beside the model of another target, is told of; it passes all the same, as
nothing is wrong with it.
"""

from collections.abc import Sequence

import numpy as np

from deploy.handoff.returned.image_verdict import ReturnedImage
from deploy.handoff.returned.limit import Limit

PLAIN_DB = 6.02


def doubt(images: Sequence[ReturnedImage], limit: Limit) -> str:
    """Say in one line as what else a return had better be judged; empty where nothing says so.

    Args:
        images: the verdicts on its outputs.
        limit: what they were held against.
    """
    nearest = {image.nearest for image in images}
    if limit.precision != "int8" or len(nearest) != 1 or not all(i.passed for i in images):
        return ""
    (profile,) = nearest
    near_db = float(np.mean([image.nearest_db for image in images]))
    between_db = float(np.mean([image.between_db for image in images]))
    float_db = float(np.mean([image.psnr_db for image in images]))
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
