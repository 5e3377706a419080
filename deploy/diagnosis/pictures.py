"""Name the likely cause why a picture differs from the reference that it should equal.

A wrong pipeline seldom makes noise: it makes the right picture in a wrong form. So every usual
wrong form is undone on the candidate, alone and together, and the one that brings it nearest to
the reference is named:

    layout       pixels interleaved (HWC) for planes (CHW), height and width exchanged, mirrored
    channels     BGR for RGB, or any other order
    values       0..255 for 0..1 and back, -1..1, 16..235, inverted, truncated, any gain and offset
    shift        moved by whole pixels
    clipping     ends of the range cut off

The evidence is the PSNR before and after undoing it, for a peak of 1 on values clipped to [0, 1].
A cause has to explain half of the squared error at least, and each further one half of what the
others leave. Plain numpy, no network is run; reading a picture of 512x512 pixels takes 0.2 s.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calib.arrays import Bool, Float32
from deploy.diagnosis.picture_forms import affine_form, channel_orders, layouts, value_forms
from deploy.metrics.decibels import CEILING_DB
from quant.numerics.psnr import psnr_of

MIN_GAIN_DB = 3.0
"""What a cause has to explain: half of the squared error."""

_EXPLAINED_DB = 20.0  # below, two photographs of the same scene would do as well
_ALIKE_DB = 70.0  # far beyond 8-bit rounding, which is 59 dB
_MIN_CORRELATION = 0.9
_CONTRAST_LIMIT = 20.0
_GRID = 40  # the search looks at that many rows and columns
_SHIFT_LIMIT_PX = 16


@dataclass(frozen=True)
class Finding:
    """The likely cause of a difference between two pictures.

    Attributes:
        cause: in a few words, such as ``channels swapped (BGR for RGB)``.
        explanation: one sentence with the evidence and what to look at.
        psnr_db_as_is: PSNR of the candidate as it came, in dB; 0 if it cannot be compared.
        psnr_db_after: PSNR with the cause undone or allowed for, in dB.
    """

    cause: str
    explanation: str
    psnr_db_as_is: float
    psnr_db_after: float


@dataclass(frozen=True, eq=False)
class _Reading:
    """A candidate with some causes undone."""

    causes: tuple[str, ...]
    advice: tuple[str, ...]
    picture: Float32
    psnr_db: float
    penalty: float

    @property
    def score(self) -> float:
        # Beyond _ALIKE_DB there is nothing left to explain.
        return min(self.psnr_db, _ALIKE_DB) - MIN_GAIN_DB * self.penalty


def diagnose(reference: Float32, candidate: Float32) -> Finding | None:
    """Return the likely cause of the difference, ``None`` if there is none or it has no name.

    Args:
        reference: float32 ``[1, C, H, W]``, nominally in [0, 1], finite.
        candidate: what should equal it, any floating-point array in any form. Leading axes of
            length 1 are no difference.
    """
    shape = reference.shape[1:]
    if candidate.size != reference.size:
        expected = "x".join(map(str, reference.shape))
        found = "x".join(map(str, candidate.shape)) or "a single value"
        text = f"found {found}, expected {expected}: another scale, a crop, or a lost channel"
        return Finding("wrong size", text, 0.0, 0.0)
    target = reference.reshape(shape).astype(np.float32)
    flat = candidate.astype(np.float32).reshape(-1)
    finite = np.isfinite(flat)
    plain = np.where(finite, flat, np.float32(0.0))
    as_is_db = _psnr_db(target, plain.reshape(shape))
    if not finite.all():
        return _not_finite(target, plain, finite, as_is_db)
    if as_is_db >= _ALIKE_DB and candidate.shape[-3:] == shape:
        return None
    if np.ptp(plain) <= 1e-6 < np.ptp(target):
        text = f"every value is {plain[0]:.4g}; the reference spans {_span(target)}"
        return Finding("constant picture", text, as_is_db, as_is_db)
    best = max(_readings(target, plain, candidate.shape), key=lambda reading: reading.score)
    if not best.causes or best.psnr_db < max(_EXPLAINED_DB, as_is_db + MIN_GAIN_DB):
        return _by_contrast(target, plain.reshape(shape), as_is_db)
    text = f"undone, the PSNR goes from {as_is_db:.1f} to {best.psnr_db:.1f} dB; "
    return Finding(", ".join(best.causes), text + "; ".join(best.advice), as_is_db, best.psnr_db)


def _not_finite(target: Float32, plain: Float32, finite: Bool, as_is_db: float) -> Finding:
    share = 1.0 - float(finite.mean())
    rest_db = 0.0
    if finite.any():
        rest_db = _psnr_db(target.reshape(-1)[finite], plain[finite])
    text = (
        f"{share:.2%} of the values are no numbers, the others agree at {rest_db:.1f} dB; an "
        "overflow (fp16 ends at 65504), a zero scale, or a NaN among the weights"
    )
    return Finding("NaN or infinity", text, as_is_db, rest_db)


def _by_contrast(target: Float32, picture: Float32, as_is_db: float) -> Finding | None:
    """Name what is left of a picture whose *input* had the wrong range.

    A network answers that with another picture, which nothing undoes, but far too strong or
    flat: Real-ESRGAN fed 0..255 gives contrasts 100 to 120 times the true ones, and fed 0..1/255
    one thousandth of them (x4plus-anime-6b, three photographs).
    """
    contrast = float(picture.std() / max(float(target.std()), 1e-6))
    white = float((picture >= 1.0).mean()), float((target >= 1.0).mean())
    if contrast > _CONTRAST_LIMIT or (white[0] > 0.5 and white[1] < 0.1):
        cause = "far too bright: the network was fed 0..255 (missing / 255)"
    elif contrast < 1.0 / _CONTRAST_LIMIT:
        cause = "nearly flat: the network was fed 0..1/255 (divided by 255 twice), or zeros"
    else:
        return None
    after_db = _psnr_db(target, affine_form(target, picture).undo(picture))
    text = (
        f"{contrast:.3g} times the reference's contrast, {white[0]:.0%} of the values at 1 or "
        f"above; the best gain and offset take the PSNR from {as_is_db:.1f} to {after_db:.1f} dB"
    )
    return Finding(cause, text, as_is_db, after_db)


def _readings(target: Float32, plain: Float32, shape: tuple[int, ...]) -> Iterator[_Reading]:
    """Yield the candidate as it is, its likeliest other form, and both moved and clipped."""
    as_is = plain.reshape(target.shape)
    untouched = _Reading((), (), as_is, _psnr_db(target, as_is), 0.0)
    # The picture's own form first: equal scores go to it.
    for reading in (untouched, _best_form(target, plain, shape)):
        yield reading
        yield from _moved(target, reading)
        yield from _clipped(target, reading)


def _best_form(target: Float32, plain: Float32, shape: tuple[int, ...]) -> _Reading:
    """Search layouts, channel orders and value forms on a coarse grid; return the best, whole."""
    steps = tuple(max(side // _GRID, 1) for side in target.shape[1:])
    coarse_target = _coarse(target, steps)
    best_score, best = -np.inf, None
    planes = len(target)
    forms = value_forms(planes)
    for layout in layouts(target.shape, shape):
        coarse_planes = _coarse(layout.undo(plain), steps)
        for order in channel_orders(planes):
            coarse = coarse_planes[order.permutation]
            for values in (*forms, affine_form(coarse_target, coarse)):
                undone = values.undo(coarse)
                if values.cause and _correlation(coarse_target, undone) < _MIN_CORRELATION:
                    continue
                parts = (layout, order, values)
                score = min(_psnr_db(coarse_target, undone), _ALIKE_DB)
                score -= MIN_GAIN_DB * sum(part.penalty for part in parts)
                if score > best_score:
                    best_score, best = score, parts
    assert best is not None  # the first form is the picture as it is
    layout, order, values = parts = best
    picture = values.undo(layout.undo(plain)[order.permutation])
    return _Reading(
        causes=tuple(part.cause for part in parts if part.cause),
        advice=tuple(part.advice for part in parts if part.advice),
        picture=picture,
        psnr_db=_psnr_db(target, picture),
        penalty=sum(part.penalty for part in parts),
    )


def _moved(target: Float32, reading: _Reading) -> Iterator[_Reading]:
    """Yield the reading moved back by the whole pixels at which it correlates best."""
    spectra = [np.fft.rfft2(p.mean(axis=0) - p.mean()) for p in (target, reading.picture)]
    height, width = target.shape[1:]
    surface = np.fft.irfft2(spectra[0].conj() * spectra[1], s=(height, width))
    reach = [min(_SHIFT_LIMIT_PX, side // 4) for side in (height, width)]
    offsets = itertools.product(*(range(-limit, limit + 1) for limit in reach))
    down, right = max(offsets, key=lambda offset: float(surface[offset]))
    if (down, right) == (0, 0):
        return
    picture = np.roll(reading.picture, (-down, -right), axis=(1, 2))
    inside = (
        slice(None),
        slice(max(-down, 0), height - max(down, 0)),
        slice(max(-right, 0), width - max(right, 0)),
    )
    yield _Reading(
        (*reading.causes, f"shifted by {_direction(down, right)}"),
        (*reading.advice, "look at padding, cropping and the tiles' overlap"),
        picture,
        _psnr_db(target[inside], picture[inside]),
        reading.penalty + 1.0,
    )


def _clipped(target: Float32, reading: _Reading) -> Iterator[_Reading]:
    """Yield the reading held against the reference with its range cut off in the same way."""
    shown = np.clip(target, 0.0, 1.0)
    low, high = float(reading.picture.min()), float(reading.picture.max())
    whole = low <= shown.min() and high >= shown.max()
    # A range of next to nothing would make any two pictures alike.
    if whole or high - low < np.ptp(shown) / 4:
        return
    if _correlation(shown, reading.picture) < _MIN_CORRELATION:
        return
    yield _Reading(
        (*reading.causes, f"range clipped to [{low:.3f}, {high:.3f}]"),
        (
            *reading.advice,
            f"the reference spans {_span(shown)}; a percentile on the last tensor does this",
        ),
        reading.picture,
        _psnr_db(np.clip(shown, low, high), reading.picture),
        reading.penalty + 1.0,
    )


def _direction(down: int, right: int) -> str:
    parts = []
    if down:
        parts.append(f"{abs(down)} px {'down' if down > 0 else 'up'}")
    if right:
        parts.append(f"{abs(right)} px {'right' if right > 0 else 'left'}")
    return " and ".join(parts)


def _span(picture: Float32) -> str:
    return f"[{picture.min():.3f}, {picture.max():.3f}]"


def _coarse(picture: Float32, steps: tuple[int, ...]) -> Float32:
    return picture[:, :: steps[0], :: steps[1]]


def _psnr_db(target: Float32, picture: Float32) -> float:
    error = np.subtract(np.clip(target, 0.0, 1.0), np.clip(picture, 0.0, 1.0), dtype=np.float64)
    return min(CEILING_DB, psnr_of(float(np.square(error).mean())))


def _correlation(first: Float32, second: Float32) -> float:
    one, other = (p.astype(np.float64) - p.mean(dtype=np.float64) for p in (first, second))
    norm = np.sqrt(np.square(one).sum() * np.square(other).sum())
    return float((one * other).sum() / norm) if norm else 0.0
