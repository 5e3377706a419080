"""Recognise an output that does not pass as what it is judged as, but would as something else.

A vendor's int8 outputs judged as fp16, or those of one int8 model beside another, are no broken
pictures: they lie where outputs of their own kind lie.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.acceptance import most_db, required_db
from deploy.handoff.bundle_manifest import GoldenVector
from deploy.handoff.returned.limit import Limit


@dataclass(frozen=True)
class MadeAs:
    """The precision, and of int8 the target, as which an output would pass; parities in dB.

    Attributes:
        precision: as which it would pass.
        profile: of our int8 model that it would pass beside.
        judged_as: what it was judged as, in words.
        required_db: what it must reach to pass so.
        between_db: to our int8 of that profile; ``None`` for fp16.
    """

    precision: ModelPrecision
    profile: str
    judged_as: str
    required_db: float
    between_db: float | None = None

    @property
    def named(self) -> str:
        """As what it would pass, in two words."""
        return _named(self.precision, self.profile)

    @property
    def cause(self) -> str:
        """What the output is, in a few words."""
        return f"an output of {self.named}, judged as {self.judged_as}"

    @property
    def evidence(self) -> str:
        """Where such outputs lie, and how to judge them."""
        beside = "" if self.between_db is None else f", and is {self.between_db:.1f} dB from ours"
        profile = f" --profile {self.profile}" if self.precision == "int8" else ""
        return (
            f"as {self.named} it needs {self.required_db:.1f} dB{beside}; if that is what was run, "
            f"judge it with --precision {self.precision}{profile}"
        )


def made_as(
    psnr_db: float, between_db: Mapping[str, float], vector: GoldenVector, limit: Limit
) -> MadeAs | None:
    """Return what an output would pass as: fp16, else the int8 that it is nearest to.

    Args:
        psnr_db: parity of the output with float, in dB.
        between_db: its parity with our int8 of each profile, in dB.
        vector: its golden vector.
        limit: as which it does not pass.
    """
    judged_as = _named(limit.precision, limit.profile)
    fp16_db = required_db("fp16", vector, limit.scales, limit.profile)
    if limit.precision == "fp32" and psnr_db >= fp16_db:
        return MadeAs("fp16", limit.profile, judged_as, fp16_db)
    for profile in sorted(between_db, key=lambda name: between_db[name], reverse=True):
        needed_db = required_db("int8", vector, limit.scales, profile)
        most = most_db("int8", vector, limit.scales, profile)
        same = (limit.precision, limit.profile) == ("int8", profile)
        if not same and needed_db <= psnr_db and (most is None or psnr_db <= most):
            return MadeAs("int8", profile, judged_as, needed_db, between_db[profile])
    return None


def _named(precision: ModelPrecision, profile: str) -> str:
    return f"int8 {profile}" if precision == "int8" else precision
