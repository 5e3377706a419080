"""Recognise which golden picture an output shows, and in what form it is wrong."""

from collections.abc import Mapping

import cv2
import numpy as np

from calib.arrays import Float32, Float64
from deploy.diagnosis.pictures import Finding, diagnose
from deploy.handoff.returned.image_verdict import ReturnedImage
from deploy.metrics.psnr_ssim import parity_db

_THUMB_PX = 32
_SAME_PICTURE = 0.95  # correlation of thumbs
_OTHER_PICTURE = 0.7
_CLEARLY_BETTER = 0.1
_UNRELATED = 0.02
CLEARLY_NEARER_DB = 6.02


def thumb(array: Float32) -> Float64:
    """Return the picture's brightness at 32x32, of mean 0 and mean square 1."""
    finite = np.nan_to_num(array[0].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    gray = finite.mean(axis=0) / max(float(np.abs(finite).max()), 1e-12)
    small = cv2.resize(gray, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
    centred = np.asarray(small, np.float64) - small.mean()
    small_gray: Float64 = centred / max(float(centred.std()), 1e-12)
    return small_gray


def shown_picture(array: Float32, thumbs: Mapping[str, Float64]) -> str | None:
    """Return the name of the picture that an output clearly shows, if it does one's.

    Args:
        array: float32 ``[1, 3, H, W]``.
        thumbs: :func:`thumb` of each picture, by name.
    """
    first, *others = _by_likeness(array, thumbs)
    second = others[0][1] if others else 0.0
    if first[1] < _SAME_PICTURE or first[1] - second < _CLEARLY_BETTER:
        return None
    return first[0]


def nearest_picture(array: Float32, thumbs: Mapping[str, Float64]) -> tuple[str, float]:
    """Return the name of the picture that an output is most like, and how they correlate."""
    return _by_likeness(array, thumbs)[0]


def _by_likeness(array: Float32, thumbs: Mapping[str, Float64]) -> list[tuple[str, float]]:
    """Return each picture with its correlation in brightness, most like first."""
    found = thumb(array)
    alike = [(name, float((found * other).mean())) for name, other in thumbs.items()]
    return sorted(alike, key=lambda item: item[1], reverse=True)


def foreign(
    name: str, array: Float32, thumbs: Mapping[str, Float64], psnr_db: float
) -> Finding | None:
    """Name an output that no slip explains: another picture, or this one drawn by something else.

    Args:
        name: of the golden input that the output should be of.
        array: the output, float32 ``[1, 3, H, W]``.
        thumbs: :func:`thumb` of what float draws of each golden input, by name.
        psnr_db: parity with what float draws of this one, in dB.

    Returns:
        ``None`` where it is neither clearly.
    """
    alike = float((thumb(array) * thumbs[name]).mean())
    if alike < _OTHER_PICTURE:
        cause = "other pictures than the golden inputs enlarged"
        text = (
            f"the output for {name} correlates r = {alike:.2f} with what float draws of it; send "
            "what the model makes of this bundle's golden/input"
        )
    elif alike >= _SAME_PICTURE:
        cause = "the golden inputs, drawn by another network, in fewer bits or with other scales"
        text = (
            f"the output for {name} shows it (r = {alike:.2f}), {psnr_db:.1f} dB from float, and "
            "neither a usual slip nor noise explains that: was it a file of this bundle that ran, "
            "as it lies there?"
        )
    else:
        return None
    return Finding(cause, text, psnr_db, psnr_db)


def ours_itself(image: ReturnedImage, profile: str) -> Finding | None:
    """Name an output that is our int8, where that is itself too far from float.

    Args:
        image: the verdict on an output that is too far off.
        profile: of our int8 that it is held against.
    """
    near = image.between_db >= image.psnr_db + CLEARLY_NEARER_DB
    if not near or image.ours_db >= image.required_db:
        return None
    text = (
        f"the output for {image.name} is {image.between_db:.1f} dB from our int8 {profile}, which "
        f"is itself {image.ours_db:.1f} dB from float where {image.required_db:.1f} is needed: it "
        "was run well, and the build is too far off; build again, or hand over other golden "
        "pictures"
    )
    return Finding(
        "our own int8 file, which is too far from float", text, image.psnr_db, image.between_db
    )


def noisy(name: str, array: Float32, drawn: Mapping[str, Float32]) -> Finding | None:
    """Name an output that differs from what a model draws by noise alone.

    An error of a network follows the picture, so that neighbouring pixels err alike; noise and
    coarse rounding do not.

    Args:
        name: of the golden input.
        array: the output, float32 ``[1, 3, H, W]``.
        drawn: what models draw of the input, by their name.
    """
    for whose, picture in drawn.items():
        error = array.astype(np.float64) - picture
        if not np.isfinite(error).all() or not error.std():
            continue
        centred = error - error.mean()
        power = float(np.square(centred).mean())
        along = [
            float((centred[..., 1:] * centred[..., :-1]).mean()) / power,
            float((centred[..., 1:, :] * centred[..., :-1, :]).mean()) / power,
        ]
        if max(map(abs, along)) < _UNRELATED:
            text = (
                f"the output for {name} is what {whose} draws but for errors of {error.std():.4f} "
                f"that neighbouring pixels do not share (r = {max(along, key=abs):.3f}); those "
                "of a network they do: so it is noise, or values were rounded coarsely"
            )
            before_db = parity_db(np.clip(picture, 0.0, 1.0), np.clip(array, 0.0, 1.0))
            return Finding("noise on the values", text, before_db, before_db)
    return None


def diagnosed(expected: Float32, found: Float32) -> Finding | None:
    """Name what is wrong with an output: with the order of its pictures, else with one of them."""
    seen = np.clip(expected, 0.0, 1.0)
    count = len(seen)
    nearest = [int(np.argmin([np.square(one - two).mean() for two in seen])) for one in found]
    if (
        np.isfinite(found).all()
        and nearest != list(range(count))
        and sorted(nearest) == list(range(count))
    ):
        order = ", ".join(map(str, nearest))
        return Finding(
            "pictures of the batch out of order",
            f"place by place it holds the pictures {order} of 0 to {count - 1}",
            parity_db(seen, found),
            parity_db(seen[nearest], found),
        )
    worst = max(range(count), key=lambda place: np.square(seen[place] - found[place]).mean())
    return diagnose(seen[worst : worst + 1], found[worst : worst + 1])
