"""Go one route of a toolchain: its job, its stages, its outputs, the verdict.

A driver sees the unpacked bundle and its job, nothing else. Outputs that are there are kept, so the
same command goes on where it was ended; a stage before the last is run once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calib.digest import canonical_json
from calib.errors import ToolchainError, VerificationError
from calib.files import make_folder, write_atomically
from calib.images import read_image, to_input
from calib.npy import write_npy
from deploy.handoff.bundle_manifest import BundleManifest, VendorRecord
from deploy.handoff.returned.judge import judge_returned
from deploy.handoff.returned.place import asked_place
from deploy.handoff.returned.report import write_report
from deploy.handoff.returned.request import ReturnedRequest
from deploy.progress import Advance, Progress
from deploy.simulate.outcome import MadeOutcome, RouteOutcome
from deploy.simulate.plan import SimulationPlan
from deploy.simulate.step import Step, run_step
from deploy.simulate.toolchain import Route, Stage
from deploy.simulate.usage import StageUsage, Usage, keep_usage, read_usage


@dataclass(frozen=True)
class Journey:
    """One route of one bundle.

    Attributes:
        plan: of the simulation.
        root: of the unpacked bundle, absolute.
        manifest: of the bundle.
        route: to go.
        folder: of the route; made where it is not there.
    """

    plan: SimulationPlan
    root: Path
    manifest: BundleManifest
    route: Route
    folder: Path

    def go(self, progress: Progress) -> RouteOutcome | MadeOutcome:
        """Run what has not been run, and judge all outputs, if there are to be any.

        Raises:
            ToolchainError: a stage failed, did not end in time, or left an output out.
            VerificationError: the bundle is damaged.
            UsageError: a folder cannot be written.
        """
        make_folder(self._work)
        stages = self.plan.toolchain.stages
        if self.route.makes is not None:
            return self._make(self.route.makes, stages, progress)
        make_folder(self._outputs)
        *before, last = stages
        if self.left:
            self._run_once(before, progress)
            self._draw(last, progress)
        for name in self.left:
            raise ToolchainError(
                f"{self._title(last)} left no output for {name}; its log is {self._log(last)}"
            )
        returned = judge_returned(self._request, progress)
        place = asked_place(self.folder / "verdict.html", self._outputs)
        write_report(returned, place)
        return RouteOutcome(self.route, returned, place.page, read_usage(self.folder))

    def _make(self, name: str, stages: Sequence[Stage], progress: Progress) -> MadeOutcome:
        """Run what has not been run, and see to it that the last stage left its file."""
        self._run_once(stages, progress)
        if not (self._work / name).exists():
            last = stages[-1]
            raise ToolchainError(
                f"{self._title(last)} left no {name}; its log is {self._log(last)}"
            )
        return MadeOutcome(self.route, self._work / name, read_usage(self.folder))

    def _run_once(self, stages: Sequence[Stage], progress: Progress) -> None:
        """Run each stage that was not finished before."""
        if self.route.takes_pictures:
            self._write_calibration()
        for stage in stages:
            done = self._work / f"{stage.name}.done"
            if not done.is_file():
                self._build(stage, progress)
                write_atomically(done, b"")

    @property
    def _outputs(self) -> Path:
        return self.folder / "returned"

    @property
    def _work(self) -> Path:
        return self.folder / "work"

    @property
    def _names(self) -> tuple[str, ...]:
        """Golden inputs to run."""
        return tuple(vector.name for vector in self.manifest.golden)[: self.plan.request.first]

    @property
    def _drawn(self) -> tuple[str, ...]:
        """Golden inputs with an output, those of an earlier run too."""
        names = (vector.name for vector in self.manifest.golden)
        return tuple(name for name in names if (self._outputs / f"{name}.npy").is_file())

    @property
    def left(self) -> list[str]:
        """Golden inputs to run that have no output."""
        return [name for name in self._names if name not in self._drawn]

    def _log(self, stage: Stage) -> Path:
        return self.folder / f"{stage.name}.log"

    def _title(self, stage: Stage) -> str:
        return f"{self.plan.toolchain.name}, {self.route.name}: {stage.name}"

    def _build(self, stage: Stage, progress: Progress) -> None:
        def keep(used: Usage) -> None:
            keep_usage(self.folder, stage.name, StageUsage.of(used, 0), anew=True)

        with progress.stage(self._title(stage), 1) as advance:
            run_step(self._step(stage), keep=keep)
            advance()

    def _draw(self, stage: Stage, progress: Progress) -> None:
        before = len(self.left)

        def keep(used: Usage) -> None:
            if used.drawing_s is not None:
                taken = StageUsage.of(used, before - len(self.left))
                keep_usage(self.folder, stage.name, taken, anew=False)

        step = replace(self._step(stage), ready=self._work / "ready")
        with progress.stage(self._title(stage), before) as advance:
            run_step(step, self._counting(advance), keep)

    def _counting(self, advance: Advance) -> Callable[[], None]:
        """Return what reports every output that has come since it was called last."""
        seen = len(self.left)

        def watch() -> None:
            nonlocal seen
            left = len(self.left)
            for _ in range(seen - left):
                advance()
            seen = left

        return watch

    def _step(self, stage: Stage) -> Step:
        """Write the job of a stage, and return the process that does it."""
        place = next(one for one in self.plan.places if one.environment == stage.environment)
        job = self._work.resolve() / f"{stage.name}.job.json"
        write_atomically(job, canonical_json(self._job(stage)))
        return Step(
            self._title(stage),
            (place.python, stage.driver, job),
            self._work.resolve(),
            self._log(stage),
            self.plan.request.limit_s,
        )

    @property
    def _pictures(self) -> list[Path]:
        """The bundle's calibration pictures, where the toolchain calibrates."""
        names = self.manifest.calibration_pictures if self.route.takes_pictures else ()
        return [self.root / name for name in names]

    def _write_calibration(self) -> None:
        """Write each calibration picture as the float model takes it, ``work/calibration``."""
        folder = self._work / "calibration"
        make_folder(folder)
        channels = self.manifest.network.tile.channels
        for path in self._pictures:
            write_npy(folder / f"{path.stem}.npy", to_input(read_image(path), channels))

    def _job(self, stage: Stage) -> dict[str, Any]:
        """Return what drivers/golden_job.py reads.

        Raises:
            VerificationError: the bundle lacks a file that its manifest names.
        """
        path = self.route.file(self.manifest)
        assert path is not None  # else the route were left out
        model = self.root / path
        if not model.is_file():
            raise VerificationError(f"the bundle lacks {path}; make it again")
        pictures = self._pictures
        return {
            "bundle": str(self.root),
            "model": str(model),
            "route": self.route.name,
            "work": str(self._work.resolve()),
            "out": str(self._outputs.resolve()),
            "inputs": list(self._names),
            "calibration": [str(picture) for picture in pictures],
            "stem": self.manifest.stem,
            "programs": {name: str(path) for name, path in self.plan.programs.items()},
            "pins": [*stage.environment.pins, *stage.environment.bare],
        }

    @property
    def _request(self) -> ReturnedRequest:
        profile = self.route.profile
        if profile is None or profile not in self.manifest.int8_models:
            profile = self.manifest.vendors[0].profile
        maker = VendorRecord(self.plan.toolchain.name, profile, self.route.own_scales)
        return ReturnedRequest(
            folder=self._outputs,
            bundle=self.root,
            maker=maker,
            precision=self.route.precision,
            names=self._drawn,
        )
