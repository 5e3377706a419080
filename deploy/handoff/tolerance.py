"""What a result must reach to be accepted, in decibels of parity with our float output.

fp32    80 dB: other kernels, another order of summation, nothing else
fp16    as fp16 files are judged when they are built
int8    our own int8 less 3 dB on each picture, so at most twice its squared error;
        from tools that choose their own scales, the floor that every int8 file must keep
"""

from typing import Literal

from deploy.handoff.contents import GoldenVector, TargetRecord
from deploy.parity import THRESHOLDS
from deploy.precision import Precision

FLOAT_DB = 80.0
MARGIN_DB = 3.0
LEAST_INT8_DB = THRESHOLDS["int8"].psnr_db

RERUN_DB: dict[Literal["float", "int8"], float] = {"float": 100.0, "int8": 45.0}
"""What the bundle's own files must reach when they are run again on another machine: sums in
another order move float by noise, and int8 by a code here and there."""


def required_db(
    precision: Precision, vector: GoldenVector, target: TargetRecord, profile: str
) -> float:
    """Return the parity with float that a returned output must reach, in dB.

    Args:
        precision: that the vendor's model was built in.
        vector: the golden vector.
        target: whose result it is.
        profile: of our int8 model that it is held against.
    """
    if precision == "fp32":
        return FLOAT_DB
    if precision == "fp16":
        return THRESHOLDS["fp16"].psnr_db
    if target.quantizes_itself:
        return LEAST_INT8_DB
    return max(LEAST_INT8_DB, vector.psnr_db[profile] - MARGIN_DB)
