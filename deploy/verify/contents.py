"""Check the files of a build as far as that goes without running a network.

The order is the order of trust: that every file is the one the manifest names, that each model is
well formed, that it follows from what it claims to be made of, and that every value fits.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from deploy.artifacts.build_folder import Build, check_files, check_named, load_build
from deploy.artifacts.check import Check
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import ParityFile
from deploy.progress import Progress
from deploy.verify.ranges import check_fp16_range, check_ranges
from deploy.verify.reproduce import reproduce
from deploy.verify.structure import (
    check_network,
    check_parity,
    check_report,
    check_structure,
    check_table,
    check_target_rules,
    check_values,
)
from quant.fp16.range import Fp16Finding
from quant.passes.prepared import PreparedGraph


@dataclass(frozen=True, eq=False)
class OpenedBuild:
    """A build's files, and whether they can be used at all.

    Attributes:
        build: the intact files, without the models that are not well formed: nothing more can be
            asked of those.
        files: is every file the one that the manifest names?
        parsing: does each of them parse?
        structure: is each model valid ONNX with the agreed inputs and outputs?
    """

    build: Build
    files: tuple[Check, ...]
    parsing: tuple[Check, ...]
    structure: tuple[Check, ...]

    @property
    def unusable(self) -> tuple[str, ...]:
        """Names of the files that are not those of the manifest, do not parse or are malformed."""
        asked = (*self.files, *self.parsing, *self.structure)
        failed = (check for check in asked if check.status == "failed")
        return tuple(dict.fromkeys(check.artifact for check in failed))


@dataclass(frozen=True, eq=False)
class CheckedBuild(OpenedBuild):
    """A build's files, and every check of them that runs no network, stage by stage.

    Attributes:
        values: is every weight a number?
        network: has the float model the sizes that the manifest records?
        rules: can each int8 model's target take it?
        calibration: was the table taken on the float model that is shipped?
        parity: are the figures of the manifest those of the build's parity file?
        derivation: do the other models follow from the float model?
        ranges: do int8 ranges hold what calibration saw?
        fp16_range: does every value of the fp16 model fit fp16?
        report: does the report show this manifest?
        unnamed: files of a build's kind that the manifest does not name; each of them fails.
        fp16: how every value of the fp16 model fits fp16.
        prepared: by int8 file, the float graph under its plan.
    """

    values: tuple[Check, ...]
    network: tuple[Check, ...]
    rules: tuple[Check, ...]
    calibration: tuple[Check, ...]
    parity: tuple[Check, ...]
    derivation: tuple[Check, ...]
    ranges: tuple[Check, ...]
    fp16_range: tuple[Check, ...]
    fp16: tuple[Fp16Finding, ...]
    prepared: Mapping[str, PreparedGraph]
    report: tuple[Check, ...] = ()
    unnamed: tuple[Check, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks, in the order of trust."""
        files = (self.files, self.unnamed, self.parsing)
        well_formed = (*files, self.structure, self.values, self.network)
        made_of = (self.rules, self.calibration, self.derivation, self.ranges, self.fp16_range)
        return tuple(itertools.chain(*well_formed, *made_of, self.parity, self.report))

    def under(self, manifest: Manifest, parity: ParityFile) -> "CheckedBuild":
        """Return the same under its final manifest, with what that names besides.

        Args:
            manifest: of the verified build; its further files are checked as well.
            parity: the figures of the verification.
        """
        known = {check.artifact for check in self.files}
        further = tuple(item for item in manifest.artifacts if item.path not in known)
        files = check_files(self.build.folder, replace(manifest, artifacts=further))
        build = replace(self.build, manifest=manifest, parity=parity)
        return replace(
            self, build=build, files=(*self.files, *files), parity=tuple(check_parity(build))
        )

    def with_report(self) -> "CheckedBuild":
        """Return the same with the report in the build's folder checked as well."""
        return replace(self, report=tuple(check_report(self.build.folder)))


def open_build(folder: Path, manifest: Manifest) -> OpenedBuild:
    """Read the files of a build, each once."""
    files = tuple(check_files(folder, manifest))
    intact = {check.artifact for check in files if check.status == "passed"}
    build, parsing = load_build(folder, manifest, intact)
    structure = tuple(check_structure(build))
    return OpenedBuild(_sound(build, structure), files, parsing, structure)


def check_folder(opened: OpenedBuild, progress: Progress) -> CheckedBuild:
    """Check a finished build as :func:`check_contents` does, its folder's other files too."""
    checked = check_contents(opened, progress)
    unnamed = check_named(opened.build.folder, opened.build.manifest)
    return replace(checked, unnamed=tuple(unnamed))


def check_contents(
    opened: OpenedBuild,
    progress: Progress,
    planned: Mapping[str, PreparedGraph] = MappingProxyType({}),
) -> CheckedBuild:
    """Make every further check of a build that runs no network.

    Args:
        opened: the build.
        progress: told what is going on.
        planned: see :func:`deploy.verify.reproduce.reproduce`.
    """
    build = opened.build
    with progress.stage(f"{build.manifest.model}: checking files", 1) as advance:
        made_again = reproduce(build, planned)
        fp16_range, fp16 = check_fp16_range(build, made_again.fp16_kept)
        checked = CheckedBuild(
            build=build,
            files=opened.files,
            parsing=opened.parsing,
            structure=opened.structure,
            values=tuple(check_values(build)),
            network=tuple(check_network(build)),
            rules=tuple(check_target_rules(build)),
            calibration=tuple(check_table(build)),
            parity=tuple(check_parity(build)),
            derivation=made_again.checks,
            ranges=tuple(check_ranges(build, made_again.prepared)),
            fp16_range=fp16_range,
            fp16=fp16,
            prepared=made_again.prepared,
        )
        advance()
    return checked


def _sound(build: Build, structure: tuple[Check, ...]) -> Build:
    """Return the build without the models whose structure is at fault."""
    unsound = {check.artifact for check in structure if check.status == "failed"}
    models, files = (
        {name: model for name, model in found.items() if name not in unsound}
        for found in (build.models, build.files)
    )
    return replace(build, models=models, files=files)
