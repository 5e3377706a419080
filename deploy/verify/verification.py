"""Hold the verdict on one build: what was asked of its files, and what its models draw.

A build fails by a check, or by a file whose picture is too far from float. No check counts the
second, so the verdict names what failed, whichever of the two it was.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from calib.images_record import is_tile
from deploy.artifacts.check import Check
from deploy.artifacts.parity_record import ParityFile, ParitySummary, VerifiedOn
from deploy.metrics.decibels import rounded_down, with_unit
from deploy.metrics.layer_sqnr import LayerError
from deploy.metrics.parity import UNSEEN_DB, Level, ParityResult, at_least, lowest_level
from deploy.metrics.thresholds import limit_reasons
from deploy.runtime.cpu import this_machine
from deploy.runtime.outputs import Outputs
from deploy.verify.backend_error import BackendError
from deploy.verify.chart import ChartParity
from deploy.verify.judges import Judges
from deploy.verify.latency import Latency
from deploy.verify.original import ORIGINAL_NAMES
from quant.fp16.range import Fp16Finding
from quant.qdq.int8_share import Int8Share

_NAMED = 4  # failures that the verdict's line names
_CLAIMS = {"cannot be told apart": "cannot be told from float", "acceptable": "acceptable"}


@dataclass(frozen=True)
class Verification:
    """What was checked of one build, and what came out.

    Attributes:
        model: name in the model table.
        judges: the pictures that the parity figures come from.
        checks: every check that was made or skipped, with its reason.
        parity: one result per judged model.
        fp16: how every value of the fp16 model fits fp16.
        backends: what runtimes on this machine make of the files, where that was asked for.
        not_run: why a file was run in no backend, by file, where one was asked for.
        latencies: how long files take for an inference here, where that was asked for.
        shares: how many convolutions of each int8 file compute in integers.
        layers: error of every tensor by int8 file, where that was asked for.
        layer_images: names of the pictures that those errors are of.
        outputs: what the models drew of the first pictures.
        int8: by int8 file, how much of it is in integers, and its size.
        batch: how many pictures one inference takes.
        charts: how near each int8 file comes to float on a test chart.
        not_run_here: int8 files that no runtime they are made for has run here.
        warnings: what to mind of a finished build, one line each.
        recorded: what the build was found to reach, by file, where that is of other pictures.
        recorded_on: those pictures.
        own_calibration: whether it was calibrated on pictures of the user's.
    """

    model: str
    judges: Judges
    checks: tuple[Check, ...]
    parity: tuple[ParityResult, ...] = ()
    fp16: tuple[Fp16Finding, ...] = ()
    backends: tuple[BackendError, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    latencies: tuple[Latency, ...] = field(default=(), compare=False)
    shares: Mapping[str, Int8Share] = field(default_factory=dict)
    layers: Mapping[str, tuple[LayerError, ...]] = field(default_factory=dict)
    layer_images: tuple[str, ...] = ()
    outputs: Outputs = field(default_factory=Outputs, compare=False)
    int8: Mapping[str, str] = field(default_factory=dict)
    batch: int = 1
    charts: tuple[ChartParity, ...] = ()
    not_run_here: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    recorded: Mapping[str, ParitySummary] = field(default_factory=dict)
    recorded_on: VerifiedOn | None = None
    own_calibration: bool = False

    @property
    def image_note(self) -> str:
        """Which pictures the parity figures come from, for a reader."""
        return str(self.judges.record())

    @property
    def lowest(self) -> tuple[str, ...]:
        """Where the file of lowest parity has it, in one line; nothing of the sample's pictures."""
        judged = [item for item in self.parity if item.against == "float"]
        if self.judges.choice == "sample" or not judged:
            return ()
        result = min(judged, key=lambda item: item.summary().psnr_db_min)
        image = min(result.images, key=lambda item: item.psnr_db)
        part = "a tile at its own size" if is_tile(image.name) else "resized"
        parity = with_unit(rounded_down(image.psnr_db))
        return (f"lowest: {parity}, {result.candidate} on {image.name} ({part})",)

    @property
    def limit_reasons(self) -> tuple[str, ...]:
        """Why limits that look low are where they are, one line each."""
        return limit_reasons(result.threshold for result in self.parity)

    @property
    def not_asked(self) -> tuple[str, ...]:
        """What could not be asked, one line each: the verdict says nothing of that."""
        return tuple(
            f"{check.artifact}, {check.name}: {check.detail}"
            for check in self.checks
            if check.status == "skipped"
        )

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """What the build fails by, a few words each; empty where it passes."""
        failed = [check for check in self.checks if check.status == "failed"]
        named = dict.fromkeys(f"{check.artifact} ({check.name})" for check in failed)
        short = [
            f"{result.candidate} is too far from {result.against} ({result.shortfall})"
            for result in self.parity
            if not result.passed
        ]
        before = [
            f"{name} was too far from float when it was built "
            f"({rounded_down(summary.psnr_db_min):.2f} dB at worst on {self.recorded_on.counted})"
            for name, summary in self.recorded.items()
            if self.recorded_on is not None and not summary.passed
        ]
        return (*named, *short, *before, *(() if self.parity else ("no model was compared",)))

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing failed."""
        return not self.failures

    @property
    def counted(self) -> str:
        """How many checks and how many comparisons passed, in words."""
        counts = Counter(check.status for check in self.checks)
        near = sum(result.passed for result in self.parity)
        return (
            f"{counts['passed']} checks passed, {counts['failed']} failed, {counts['skipped']} "
            f"skipped; {near} of {len(self.parity)} comparisons of pictures passed"
        )

    @property
    def compared_with(self) -> str | None:
        """The original that the float model was compared with, in words; ``None``: with none."""
        references = (result.reference for result in self.parity)
        return next((ORIGINAL_NAMES[name] for name in references if name in ORIGINAL_NAMES), None)

    @property
    def level(self) -> Level:
        """The level that every model reaches, here and when it was built.

        The lowest where something failed.
        """
        if not self.passed:
            return "not acceptable"
        here = (result.summary() for result in self.parity)
        return lowest_level((*here, *self.recorded.values()))

    @property
    def banner(self) -> str:
        """The verdict in one line, which claims the level that was reached and no more."""
        if not self.passed:
            more = len(self.failures) - _NAMED
            named = [*self.failures[:_NAMED], *([f"{more} more"] if more > 0 else [])]
            return f"VERIFICATION FAILED: {'; '.join(named)}"
        reached = at_least(result.summary() for result in self.parity)
        compared = self.judges.record().counted
        if self.judges.choice == "sample" and self.own_calibration:
            compared += ", none of your own"
        if self.recorded and self.recorded_on is not None:
            before = at_least(self.recorded.values())
            return (
                f"verified, {_CLAIMS[self.level]}: {before} when it was built, on "
                f"{self.recorded_on.counted}; here {reached} on {compared}"
            )
        if self.level == "cannot be told apart":
            return (
                f"verified, cannot be told from float: {reached} on each of the "
                f"pictures compared ({compared})"
            )
        return (
            f"verified, acceptable: {reached} on each of the pictures compared "
            f"({compared}); from "
            f"{UNSEEN_DB:g} dB on it could not be told from float"
        )

    def parity_record(self) -> ParityFile:
        """Return the content of ``parity.json``: every figure of every picture."""
        records = {result.candidate: result.record() for result in self.parity}
        return ParityFile(self.judges.patches.digest, records)

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "model": self.model,
            "passed": self.passed,
            "failures": list(self.failures),
            "level": self.level,
            "pictures": asdict(self.judges.record()),
            "pictures_note": self.judges.record().counted,
            "recorded_on": None if self.recorded_on is None else str(self.recorded_on),
            "not_asked": list(self.not_asked),
            "warnings": list(self.warnings),
            "int8": dict(self.int8),
            "checks": [check.record() for check in self.checks],
            "files": [result.shown() for result in self.parity],
            "fp16": [finding.record() for finding in self.fp16],
            "machine": this_machine().record() if self.backends or self.latencies else None,
            "backends": [item.record() for item in self.backends],
            "not_run": dict(self.not_run),
            "charts": [chart.record() for chart in self.charts],
            "not_run_here": list(self.not_run_here),
            "pictures_at_once": self.batch,
            "speed": [item.record() for item in self.latencies],
            "convolutions_in_int8": {
                name: {"int8": len(share.integer), "count": len(share.convolutions)}
                for name, share in self.shares.items()
            },
            "layer_pictures": list(self.layer_images),
            "layers": {
                name: [error.record() for error in errors] for name, errors in self.layers.items()
            },
        }
