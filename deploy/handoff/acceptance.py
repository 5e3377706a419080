"""Set what a result must reach to be accepted, in decibels of parity with our float output.

fp32    80 dB: other kernels, another order of summation, nothing else
fp16    as fp16 files are judged when they are built
int8    with our scales, our own int8 less 3 dB on each picture, so at most twice its squared
        error; with scales of a tool's own, the floor that every int8 file must keep

An int8 result can also be too good: nothing that rounds the operands of its convolutions to 8 bits
comes nearer to float than deploy/handoff/nearest_int8.py says, with the same margin. Scales of
another tool may be finer than ours, but not by a bit in every tensor, which is what
:data:`BIT_DB` would take.
"""

import math
from typing import Literal, TypeAlias

from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.bundle_manifest import FLOAT_KIND, INT8_PREFIX, GoldenVector
from deploy.handoff.golden import STEPS
from deploy.metrics.thresholds import THRESHOLDS

Scales: TypeAlias = Literal["ours", "own"]
"""Whose scales an int8 model computes with: those of our file, or a tool's own."""

FLOAT_DB = 80.0
MARGIN_DB = 3.0
BIT_DB = 6.02
LEAST_INT8_DB = THRESHOLDS["int8"].psnr_db

RERUN_FLOAT_DB = 100.0
RERUN_MARGIN_DB = 6.0
ROUNDED_DB = 10.0 * math.log10(12.0 / STEPS["int8"] ** 2)
"""PSNR of an int8 output beside its golden file, which rounds it: the mean of s^2 / 12 over a
step."""
DRIFT_DB = 0.5
SAME_PICTURE_DB = 20.0


def required_db(
    precision: ModelPrecision, vector: GoldenVector, scales: Scales, profile: str
) -> float:
    """Return the parity with float that a returned output must reach, in dB.

    Args:
        precision: that the vendor's model was built in.
        vector: the golden vector.
        scales: that it was quantized with, where it is int8.
        profile: of our int8 model that it is held against.
    """
    if precision == "fp32":
        return FLOAT_DB
    if precision == "fp16":
        return THRESHOLDS["fp16"].psnr_db
    if scales == "own":
        return LEAST_INT8_DB
    return max(LEAST_INT8_DB, vector.psnr_db[profile] - MARGIN_DB)


def most_db(
    precision: ModelPrecision, vector: GoldenVector, scales: Scales, profile: str
) -> float | None:
    """Return the parity with float beyond which an output is none of this precision, in dB.

    Args:
        precision: that the vendor's model is said to have been built in.
        vector: the golden vector.
        scales: that it was quantized with, where it is int8.
        profile: of our int8 model that it is held against.

    Returns:
        ``None`` for float and fp16, which may be as near as they like.
    """
    if precision != "int8":
        return None
    return vector.operands_db[profile] + (BIT_DB if scales == "own" else MARGIN_DB)


def rerun_db(kind: str, vector: GoldenVector) -> float:
    """Return the parity with a golden array that running the same file again must reach, in dB.

    Another machine sums in another order. That moves float by noise. It moves an 8-bit value here
    and there, and as later layers round again, all of them: measured on x4plus-anime-6b, an input
    moved by one unit in the last place gives an int8 output 42 dB from the first, both 43 dB from
    float. So int8 may differ from itself by what it differs from float, with a margin, and
    its parity with float may drift by :data:`DRIFT_DB` in the mean. A file that comes very near to
    float is held to no more than what golden files keep of it.

    >>> near = GoldenVector("a", "a.png", "sample", "0" * 64, {"qnn": 95.0}, {"qnn": 95.0})
    >>> round(rerun_db("int8-qnn", near), 1)
    77.0
    """
    if kind == FLOAT_KIND:
        return RERUN_FLOAT_DB
    own_db = vector.psnr_db[kind.removeprefix(INT8_PREFIX)]
    return min(own_db, ROUNDED_DB) - RERUN_MARGIN_DB


def same_float(_vector: GoldenVector) -> float:
    """Return what another engine's float must reach against ours, in dB."""
    return FLOAT_DB


def same_picture(_vector: GoldenVector) -> float:
    """Return what still is the same picture, in dB: where a CPU may saturate."""
    return SAME_PICTURE_DB
