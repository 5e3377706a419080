"""Decide which limit returned outputs are held against, and say which and why.

A vendor may have two routes: its tools quantize the float file with scales of their own, or run our
QDQ file with ours. What a result must reach depends on which (deploy/handoff/acceptance.py), and
nothing in an output tells it. The user says it; else it is what the vendor's tools do as a rule.
"""

from dataclasses import dataclass

from calib.errors import UsageError
from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.acceptance import FLOAT_DB, LEAST_INT8_DB, MARGIN_DB, Scales
from deploy.handoff.bundle_manifest import VendorRecord
from deploy.metrics.thresholds import THRESHOLDS


@dataclass(frozen=True)
class Limit:
    """What outputs are held against.

    Attributes:
        precision: that they are judged as.
        profile: of our int8 that they are held against or shown beside.
        scales: whose scales they are taken to have, where they are int8.
        asked: the user said whose; else it follows from the vendor.
        vendor: whose they are.
    """

    precision: ModelPrecision
    profile: str
    scales: Scales
    asked: bool
    vendor: str

    @property
    def text(self) -> str:
        """The limit of each picture and how it was decided, in one line."""
        if self.precision != "int8":
            needed_db = FLOAT_DB if self.precision == "fp32" else THRESHOLDS["fp16"].psnr_db
            return f"{needed_db:g} dB on each picture: --precision {self.precision}"
        needed = (
            f"what our int8 {self.profile} reaches less {MARGIN_DB:g} dB, at least "
            f"{LEAST_INT8_DB:g} dB,"
        )
        why = f"{self.vendor} runs files with our scales; --scales own, if its tools chose theirs"
        if self.scales == "own":
            needed = f"{LEAST_INT8_DB:g} dB"
            why = (
                f"{self.vendor} chooses its own scales, and how it errs is not asked; --scales "
                "ours, if it ran a file with ours"
            )
        return f"{needed} on each picture: {f'--scales {self.scales}' if self.asked else why}"


def decide(
    precision: ModelPrecision, profile: str, vendor: VendorRecord, asked: Scales | None
) -> Limit:
    """Return the limit that outputs of a vendor are held against.

    Args:
        precision: that they are judged as.
        profile: of our int8 that they are held against or shown beside.
        vendor: whose they are.
        asked: whose scales the user says they have; ``None``: as the vendor's tools do.

    Raises:
        UsageError: scales are said of what has none.
    """
    if precision != "int8" and asked is not None:
        raise UsageError(
            f"found --scales {asked} with --precision {precision}; only int8 outputs have scales"
        )
    usual: Scales = "own" if vendor.quantizes_itself else "ours"
    return Limit(precision, profile, asked or usual, asked is not None, vendor.name)
