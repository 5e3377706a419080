"""Hold the verdict on one returned output: its figures, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from deploy.diagnosis.pictures import Finding
from deploy.handoff.returned.made_as import MadeAs
from deploy.handoff.returned.shared_error import LEAST_SHARED

FIGURES: Mapping[str, str] = MappingProxyType(
    {"psnr_db": "returned_db", "ours_db": "our_int8_db", "between_db": "to_our_int8_db"}
)
"""What the figures of an output are called in a record."""


@dataclass(frozen=True)
class PhotoScore:
    """How near three outputs come to the HR photograph: PSNR in dB, and SSIM.

    Attributes:
        returned: of the vendor.
        float_model: of the float network.
        int8_model: of our int8.
    """

    returned: tuple[float, float]
    float_model: tuple[float, float]
    int8_model: tuple[float, float]

    def record(self) -> dict[str, Any]:
        """Return the scores as a JSON-able mapping."""
        scores = {"returned": self.returned, "float": self.float_model, "our_int8": self.int8_model}
        return {
            whose: {"psnr_to_hr_db": psnr_db, "ssim": ssim}
            for whose, (psnr_db, ssim) in scores.items()
        }


@dataclass(frozen=True)
class ReturnedImage:
    """The verdict on one returned output, parities in dB.

    Attributes:
        name: of the golden input.
        file: that was returned, relative to its folder.
        form: how it was stored.
        psnr_db: of the returned output against float.
        required_db: what that must be at least.
        ours_db: of our int8 against float.
        between_db: of the returned output against our int8.
        ssim: of the returned against the float picture.
        max_abs_error: largest difference from float of a clipped value, in [0, 1].
        finding: the likely cause, where it is too far off and the cause has a name.
        photo: scores against the HR photograph, where there is one.
        most_db: what the parity can be at most in that precision; ``None``: anything.
        copied: the kind of golden file that this is to the last bit, such as ``float``.
        shows: the other golden input whose picture it is, where it clearly is one's.
        made_as: the precision and target as which it would pass, where it does not as judged.
        assumed: what was taken for granted of how its values are stored; empty where nothing was.
        shared_error: what share of its error it has in common with our int8
            (deploy/handoff/returned/shared_error.py); ``None``: not to be asked.
        nearest: the target of that of our int8 models that it is nearest to.
        nearest_db: its parity with what that makes of the input.
        broken: whether some of its values are no numbers; then no figure is of it, and all are 0.
    """

    name: str
    file: str
    form: str
    psnr_db: float
    required_db: float
    ours_db: float
    between_db: float
    ssim: float
    max_abs_error: float
    finding: Finding | None = None
    photo: PhotoScore | None = None
    most_db: float | None = None
    copied: str | None = None
    shows: str | None = None
    made_as: MadeAs | None = None
    assumed: str = ""
    shared_error: float | None = None
    nearest: str = ""
    nearest_db: float = 0.0
    broken: bool = False

    @property
    def cause(self) -> str | None:
        """What it is too far off by, where that has a name."""
        if self.shows is not None:
            return "the picture of another golden input"
        if self.finding is not None:
            return self.finding.cause
        return None if self.made_as is None else self.made_as.cause

    @property
    def explanation(self) -> str:
        """The evidence for :attr:`cause`."""
        if self.shows is not None:
            return f"{self.file} shows {self.shows}: name each output as its input is named"
        if self.finding is not None:
            return self.finding.explanation
        return (
            ""
            if self.made_as is None
            else f"{self.name} is {self.psnr_db:.1f} dB from float; {self.made_as.evidence}"
        )

    @property
    def far_off(self) -> bool:
        """Whether the output is not near enough to float."""
        return not self.psnr_db >= self.required_db

    @property
    def too_near(self) -> bool:
        """Whether the output is nearer to float than its precision can be."""
        return self.most_db is not None and self.psnr_db > self.most_db

    @property
    def errs_otherwise(self) -> bool:
        """Whether an output near enough has errors that no execution of this int8 file makes."""
        if self.shared_error is None or self.far_off or self.too_near or self.copied:
            return False
        return self.shared_error < LEAST_SHARED

    @property
    def passed(self) -> bool:
        """Whether the output is what a model of its precision computes of the input."""
        return not (self.far_off or self.too_near or self.copied or self.errs_otherwise)

    @property
    def verdict(self) -> str:
        """The verdict in three words."""
        if self.copied:
            return f"copy of golden/{self.copied}"
        if self.too_near:
            return "not 8 bits"
        if self.errs_otherwise:
            return "other errors"
        if self.shows is not None:
            return f"shows {self.shows}"
        if self.far_off and self.finding is None and self.made_as is not None:
            return f"as {self.made_as.named}"
        return "too far off" if self.far_off else "pass"

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping, in the words of the table."""
        return {
            "golden_input": self.name,
            "file": self.file,
            "form": self.form,
            **{word: getattr(self, figure) for figure, word in FIGURES.items()},
            "nearest_int8": self.nearest,
            "to_nearest_int8_db": self.nearest_db,
            "needed_db": self.required_db,
            "at_most_db": self.most_db,
            "ssim": self.ssim,
            "max_error": self.max_abs_error,
            "verdict": self.verdict,
            "passed": self.passed,
            "assumed": self.assumed or None,
            "shared_error": self.shared_error,
            "copied": self.copied,
            "shows": self.shows,
            "made_as": None if self.made_as is None else asdict(self.made_as),
            "finding": None if self.finding is None else asdict(self.finding),
            "photograph": None if self.photo is None else self.photo.record(),
        }
