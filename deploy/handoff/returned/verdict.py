"""Hold the verdict on what a vendor returned, image by image."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calib.images import Picture
from deploy.artifacts.precision import ModelPrecision
from deploy.diagnosis.pictures import Finding

SCHEMA = "esrdeploy.returned/3"
_FIGURES = {"psnr_db": "returned_db", "ours_db": "our_int8_db", "between_db": "to_our_int8_db"}
_SHOWN = 3  # problems of a kind that a person is told one by one


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

    @property
    def cause(self) -> str | None:
        """What it is too far off by, where that has a name."""
        if self.shows is not None:
            return "the picture of another golden input"
        return None if self.finding is None else self.finding.cause

    @property
    def explanation(self) -> str:
        """The evidence for :attr:`cause`."""
        if self.shows is not None:
            return f"{self.file} shows {self.shows}: name each output as its input is named"
        return "" if self.finding is None else self.finding.explanation

    @property
    def far_off(self) -> bool:
        """Whether the output is not near enough to float."""
        return not self.psnr_db >= self.required_db

    @property
    def too_near(self) -> bool:
        """Whether the output is nearer to float than its precision can be."""
        return self.most_db is not None and self.psnr_db > self.most_db

    @property
    def passed(self) -> bool:
        """Whether the output is what a model of its precision computes of the input."""
        return not (self.far_off or self.too_near or self.copied)

    @property
    def verdict(self) -> str:
        """The verdict in three words."""
        if self.copied:
            return f"copy of golden/{self.copied}"
        if self.too_near:
            return "not 8 bits"
        if self.shows is not None:
            return f"shows {self.shows}"
        return "too far off" if self.far_off else "pass"

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping, in the words of the table."""
        return {
            "golden_input": self.name,
            "file": self.file,
            "form": self.form,
            **{word: getattr(self, figure) for figure, word in _FIGURES.items()},
            "needed_db": self.required_db,
            "at_most_db": self.most_db,
            "ssim": self.ssim,
            "max_error": self.max_abs_error,
            "verdict": self.verdict,
            "passed": self.passed,
            "copied": self.copied,
            "shows": self.shows,
            "finding": None if self.finding is None else asdict(self.finding),
            "photograph": None if self.photo is None else self.photo.record(),
        }


@dataclass(frozen=True)
class Returned:
    """The verdict on everything that was returned.

    Attributes:
        model: name of the network.
        vendor: whose results these are.
        precision: that they were made in.
        profile: of our int8 they are shown beside.
        images: one entry per output that could be read.
        problems: one line per file that is missing, extra, misnamed or cannot be used.
        pictures: name to (float, returned) uint8 pictures, for a report.
        saturated: what shows that 8-bit products saturated where this was computed, if anything.
        left_aside: files of the bundle itself that came back with the outputs.
    """

    model: str
    vendor: str
    precision: ModelPrecision
    profile: str
    images: tuple[ReturnedImage, ...]
    problems: tuple[str, ...]
    pictures: Mapping[str, tuple[Picture, Picture]]
    saturated: Finding | None = None
    left_aside: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every golden input came back as a model of the precision computes it."""
        return bool(self.images) and not self.problems and all(i.passed for i in self.images)

    @property
    def shown_problems(self) -> tuple[str, ...]:
        """The problems, of each kind the first few and how many more: what a person reads."""
        kinds: dict[str, list[str]] = {}
        for problem in self.problems:
            kinds.setdefault(problem.partition(":")[0], []).append(problem)
        lines = []
        for kind, found in kinds.items():
            lines += found[:_SHOWN]
            if len(found) > _SHOWN:
                lines.append(f"{kind}: and {len(found) - _SHOWN} more; the .json record lists each")
        return tuple(lines)

    @property
    def left_aside_text(self) -> str:
        """What was left aside, in one line; empty where nothing was."""
        if not self.left_aside:
            return ""
        count = len(self.left_aside)
        files = "file is" if count == 1 else "files are"
        return (
            f"{count} {files} the bundle's own and not looked at, such as {self.left_aside[0]}: "
            "outputs alone are enough"
        )

    @property
    def reason(self) -> str:
        """What a return that is not accepted fails by, in one sentence; empty where it passes."""
        failed = [image for image in self.images if not image.passed]
        parts = []
        if failed:
            parts.append(f"{len(failed)} of {len(self.images)} outputs do not pass")
        if self.problems:
            count = len(self.problems)
            parts.append(f"{count} {'problem' if count == 1 else 'problems'} with the files")
        if not self.images:
            parts.append("no output could be judged")
        return "; ".join(parts)

    @property
    def cause(self) -> str | None:
        """The cause that most of the outputs that are too far off share."""
        if self.saturated is not None:
            return self.saturated.cause
        failed = [image for image in self.images if image.far_off]
        cause, count = self._commonest
        return f"{cause} (in {count} of {len(failed)})" if cause else None

    @property
    def explanation(self) -> str | None:
        """The evidence for :attr:`cause`."""
        if self.saturated is not None:
            return self.saturated.explanation
        cause, _ = self._commonest
        found = [image for image in self.images if image.far_off and image.cause == cause]
        return found[0].explanation if cause and found else None

    @property
    def _commonest(self) -> tuple[str | None, int]:
        """The cause that most of the outputs that are too far off share, and how many do."""
        causes = Counter(image.cause for image in self.images if image.far_off and image.cause)
        return causes.most_common(1)[0] if causes else (None, 0)

    @property
    def refusals(self) -> tuple[str, ...]:
        """One line for each reason not to believe what is near enough."""
        lines = []
        for kind in sorted({image.copied for image in self.images if image.copied}):
            copies = [image for image in self.images if image.copied == kind]
            lines.append(
                f"copied: {len(copies)} of {len(self.images)} outputs are the bundle's own "
                f"golden/{kind} to the last bit, such as {copies[0].file}; send what your model "
                "computes"
            )
        near = [image for image in self.images if image.too_near and not image.copied]
        if near:
            nearest = max(near, key=lambda image: image.psnr_db - (image.most_db or 0.0))
            lines.append(
                f"not int8: {len(near)} of {len(self.images)} outputs are nearer to float than "
                f"any 8-bit computation of this model, such as {nearest.name}: "
                f"{nearest.psnr_db:.1f} dB, at most {nearest.most_db:.1f} dB with the operands of "
                "its int8 convolutions rounded and nothing else; if the model ran in float or "
                "fp16, judge it with --precision fp32 or fp16"
            )
        return tuple(lines)

    def mean_db(self, figure: str) -> float:
        """Return the mean of ``psnr_db``, ``ours_db`` or ``between_db`` over the outputs."""
        return float(np.mean([getattr(image, figure) for image in self.images]))

    def record(self) -> dict[str, Any]:
        """Return everything but the pictures as a JSON-able mapping."""
        summary = {}
        for figure, word in _FIGURES.items() if self.images else ():
            values = [getattr(image, figure) for image in self.images]
            summary[word] = {"mean": round(self.mean_db(figure), 4), "lowest": min(values)}
        return {
            "schema": SCHEMA,
            "model": self.model,
            "vendor": self.vendor,
            "precision": self.precision,
            "profile": self.profile,
            "passed": self.passed,
            "cause": self.cause,
            "explanation": self.explanation,
            "refusals": list(self.refusals),
            "problems": list(self.problems),
            "left_aside": list(self.left_aside),
            "summary": summary,
            "outputs": [image.record() for image in self.images],
        }
