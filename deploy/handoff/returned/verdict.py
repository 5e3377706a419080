"""Hold the verdict on what a vendor returned, image by image."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib.images import Picture
from calib.words import counted
from deploy.artifacts.precision import ModelPrecision
from deploy.diagnosis.pictures import Finding
from deploy.handoff.acceptance import LEAST_INT8_DB
from deploy.handoff.returned.image_verdict import FIGURES, ReturnedImage
from deploy.handoff.returned.limit import Limit
from deploy.handoff.returned.shared_error import LEAST_SHARED
from deploy.handoff.returned.whose import doubt

SCHEMA = "esrdeploy.returned/3"
_SHOWN = 3  # problems of a kind that a person is told one by one


@dataclass(frozen=True)
class Returned:
    """The verdict on everything that was returned.

    Attributes:
        model: name of the network.
        limit: what they are held against, and whose they are.
        folder: name of the one that was returned.
        images: one entry per output that could be read.
        problems: one line per file that is missing, extra, misnamed or cannot be used.
        pictures: name to (float, returned) uint8 pictures, for a report.
        explained: what explains the return as a whole, such as 8-bit products that saturated.
        left_aside: files of the bundle itself that came back with the outputs.
        beside: other files that came with the outputs and are none, such as a log.
    """

    model: str
    limit: Limit
    folder: str
    images: tuple[ReturnedImage, ...]
    problems: tuple[str, ...]
    pictures: Mapping[str, tuple[Picture, Picture]]
    explained: Finding | None = None
    left_aside: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def vendor(self) -> str:
        """Whose results these are."""
        return self.limit.vendor

    @property
    def precision(self) -> ModelPrecision:
        """The one that they are judged as."""
        return self.limit.precision

    @property
    def profile(self) -> str:
        """The target of our int8 that they are shown beside."""
        return self.limit.profile

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
                lines.append(f"{kind}: and {len(found) - _SHOWN} more; --json lists each")
        return tuple(lines)

    @property
    def left_aside_texts(self) -> tuple[str, ...]:
        """What was left aside and fails nothing, one line for the bundle's and one for the rest."""
        lines = []
        if self.left_aside:
            lines.append(
                f"{_counted(self.left_aside)} the bundle's own and not looked at, such as "
                f"{self.left_aside[0]}: outputs alone are enough"
            )
        if self.beside:
            lines.append(
                f"{_counted(self.beside)} no output and not looked at, such as {self.beside[0]}"
            )
        return tuple(lines)

    @property
    def reason(self) -> str:
        """What a return that is not accepted fails by, in one sentence; empty where it passes."""
        failed = [image for image in self.images if not image.passed]
        parts = []
        if failed:
            parts.append(f"{len(failed)} of {len(self.images)} outputs do not pass")
        if self.problems:
            parts.append(f"{counted(len(self.problems), 'problem')} with the files")
        if not self.images:
            parts.append("no output could be judged")
        return "; ".join(parts)

    @property
    def cause(self) -> str | None:
        """The cause that most of the outputs that are too far off share."""
        if self.explained is not None:
            return self.explained.cause
        failed = [image for image in self.images if image.far_off]
        found = self._of_commonest_cause
        return f"{found[0].cause} (in {len(found)} of {len(failed)})" if found else None

    @property
    def explanation(self) -> str | None:
        """The evidence for :attr:`cause`."""
        if self.explained is not None:
            return self.explained.explanation
        found = self._of_commonest_cause
        if not found:
            return None
        first = found[0]
        return (
            first.explanation
            if first.name in first.explanation
            else (f"{first.name}: {first.explanation}")
        )

    @property
    def _of_commonest_cause(self) -> tuple[ReturnedImage, ...]:
        """The outputs too far off that share the commonest cause, whatever figures it names."""
        far = [image for image in self.images if image.far_off and image.cause]
        kinds = Counter(_without_figures(image.cause) for image in far)
        if not kinds:
            return ()
        ((kind, _),) = kinds.most_common(1)
        return tuple(image for image in far if _without_figures(image.cause) == kind)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each kind of what does not pass: what a person reads first."""
        return (*self.too_far_off, *self.refusals, *self.shown_problems)

    @property
    def too_far_off(self) -> tuple[str, ...]:
        """One line on the outputs that are too far from float; none where all are near enough."""
        far = [image for image in self.images if image.far_off and image.shows is None]
        if not far:
            return ()
        worst = min(far, key=lambda image: image.psnr_db)
        otherwise = ""
        distance = f"{worst.psnr_db:.1f} dB from float"
        if worst.broken:
            distance = "values that are no numbers"
        held_by_ours = (self.precision, self.limit.scales) == ("int8", "ours")
        if held_by_ours and worst.psnr_db >= LEAST_INT8_DB:
            otherwise = f"; scales of a tool's own need {LEAST_INT8_DB:g} (--scales own)"
        return (
            f"too far off: {len(far)} of {len(self.images)} outputs, the worst {worst.name}: "
            f"{distance}, needs {worst.required_db:.1f} dB{otherwise}",
        )

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
                f"its int8 convolutions rounded and nothing else; {_better_judged(nearest)}"
            )
        other = [image for image in self.images if image.errs_otherwise]
        if other:
            least = min(other, key=lambda image: image.shared_error or 0.0)
            shared = max(0.0, least.shared_error or 0.0)
            lines.append(
                f"not this int8: {len(other)} of {len(self.images)} outputs err otherwise than "
                f"this file can, such as {least.name}: its error against float shares "
                f"{shared:.2f} with ours, an execution of the file at least "
                f"{LEAST_SHARED:g}; float with noise, or a model of other scales: if your tools "
                "chose them, judge it with --scales own"
            )
        return tuple(lines)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """One line for each thing that the verdict takes for granted."""
        counted = Counter(image.assumed for image in self.images if image.assumed)
        return tuple(
            f"{count} of {len(self.images)} outputs are {assumed}; if they stand for something "
            "else, say it with --output-quantization"
            for assumed, count in counted.items()
        )

    @property
    def banner(self) -> str:
        """The verdict in one line, with what it takes for granted."""
        if not self.passed:
            return f"NOT ACCEPTED: {self.reason}"
        taken = sorted({image.assumed for image in self.images if image.assumed})
        return "; ".join(["accepted", *taken, *filter(None, [self.doubt])])

    @property
    def doubt(self) -> str:
        """As what else a return that passes had better be judged; empty where nothing says so."""
        return doubt(self.images, self.limit)

    def mean_db(self, figure: str) -> float:
        """Return the mean of ``psnr_db``, ``ours_db`` or ``between_db`` over the outputs."""
        return float(np.mean([getattr(image, figure) for image in self.images]))

    def record(self) -> dict[str, Any]:
        """Return everything but the pictures as a JSON-able mapping."""
        summary = {}
        for figure, word in FIGURES.items() if self.images else ():
            values = [getattr(image, figure) for image in self.images]
            summary[word] = {"mean": round(self.mean_db(figure), 4), "lowest": min(values)}
        return {
            "schema": SCHEMA,
            "model": self.model,
            "vendor": self.vendor,
            "precision": self.precision,
            "profile": self.profile,
            "scales": self.limit.scales if self.precision == "int8" else None,
            "scales_asked_for": self.limit.asked,
            "limit": self.limit.text,
            "folder": self.folder,
            "passed": self.passed,
            "cause": self.cause,
            "explanation": self.explanation,
            "too_far_off": list(self.too_far_off),
            "refusals": list(self.refusals),
            "problems": list(self.problems),
            "assumptions": list(self.assumptions),
            "doubt": self.doubt or None,
            "left_aside": list(self.left_aside),
            "beside": list(self.beside),
            "summary": summary,
            "outputs": [image.record() for image in self.images],
        }


def _without_figures(cause: str | None) -> str:
    """Return the words of a cause, by which outputs share it.

    >>> _without_figures("values need * 0.9998 - 0.07722")
    'values need * # - #'
    """
    return re.sub(r"\d+(\.\d+)?", "#", cause or "")


def _counted(files: tuple[str, ...]) -> str:
    return "1 file is" if len(files) == 1 else f"{len(files)} files are"


def _better_judged(image: ReturnedImage) -> str:
    """Return how an output that is nearer to float than its int8 can be is to be judged."""
    if image.made_as is None:
        return "if the model ran in float or fp16, judge it with --precision fp32 or fp16"
    return image.made_as.evidence
