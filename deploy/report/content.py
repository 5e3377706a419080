"""Gather what the report says of a build, in words and figures.

Nothing here runs a network or knows HTML. What stands in a file that is not the one the manifest
names is not shown: the failed check says so instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from calib.digest import sha256_file
from deploy.artifacts.build_folder import Build
from deploy.artifacts.build_warnings import build_warnings
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME, Artifact
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.artifacts.parity_record import ParityRecord
from deploy.metrics.decibels import rounded_down, with_unit
from deploy.metrics.parity import Level, at_least, level_of, lowest_level
from deploy.metrics.thresholds import limit_reasons
from deploy.network.known_models import likeness
from deploy.progress import Progress
from deploy.report.plans import Reason, grouped
from deploy.verify.contents import CheckedBuild, check_folder, open_build
from quant.fp16.range import Fp16Finding
from quant.plan import QuantPlan
from quant.qdq.int8_share import Int8Share
from quant.sensitivity import Sensitivity

T = TypeVar("T")

_GREY_LEVELS = 255
_MOST_COLUMNS = 4


@dataclass(frozen=True)
class FileCard:
    """One model and its figures.

    Attributes:
        artifact: the file.
        share: its size per size of the float file.
        parity: its record in ``parity.json``; ``None`` where it was not compared.
        convolutions: which of them compute in integers, of an int8 file.
    """

    artifact: Artifact
    share: float
    parity: ParityRecord | None
    convolutions: Int8Share | None = None

    @property
    def label(self) -> str:
        """Precision and target in one word."""
        return model_label(self.artifact)

    @property
    def passed(self) -> bool:
        """Whether it was compared and every picture reached its threshold."""
        return self.parity is not None and self.parity.passed

    @property
    def level(self) -> Level | None:
        """The level that it reaches on every picture; ``None`` where it was not compared."""
        return None if self.parity is None else level_of(self.parity)

    @property
    def lowest_db(self) -> str:
        """The parity that every picture reaches, with its unit; empty where there is none."""
        return "" if self.parity is None else with_unit(rounded_down(self.parity.psnr_db_min))

    @property
    def reference(self) -> str:
        """What it was compared with."""
        if self.artifact.precision != "fp32":
            return "float"
        return "torch" if self.parity is None else self.parity.reference

    @property
    def grey_levels(self) -> float | None:
        """Parity as a root mean square difference, in grey levels of 255."""
        if self.parity is None:
            return None
        return float(_GREY_LEVELS * 10 ** (-self.parity.psnr_db_mean / 20))


@dataclass(frozen=True)
class Content:
    """What is known of a build without running it.

    Attributes:
        checked: its files, as far as they are intact.
        checks: what was asked of them.
        manifest_sha256: digest of ``manifest.json``.
    """

    checked: CheckedBuild
    checks: tuple[Check, ...]
    manifest_sha256: str

    @property
    def likeness(self) -> str:
        """Which known models the network is like, in words."""
        network, weights = self.manifest.network, self.manifest.weights
        return likeness(network.same_architecture_as, weights.released_as)

    @property
    def parity(self) -> Mapping[str, ParityRecord]:
        """Figures by model, of ``parity.json``; empty where that is not intact."""
        return {} if self.build.parity is None else self.build.parity.artifacts

    @property
    def build(self) -> Build:
        """The intact files."""
        return self.checked.build

    @property
    def manifest(self) -> Manifest:
        """The build's manifest."""
        return self.build.manifest

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """One line for everything that does not hold."""
        lines = [
            f"{check.artifact}, {check.name}: {check.detail}"
            for check in self.checks
            if check.status == "failed"
        ]
        for card in self.cards:
            if card.parity is not None:
                lines += [f"{card.artifact.path}, {line}" for line in card.parity.failures]
            elif card.artifact.precision != "fp32":  # its weights may not be at hand
                lines.append(f"{card.artifact.path}: was compared with nothing")
        if all(card.parity is None for card in self.cards):
            lines.append("nothing was compared")
        return tuple(lines)

    @property
    def passed(self) -> bool:
        """Whether everything was compared and nothing failed."""
        return not self.failures

    @property
    def level(self) -> Level:
        """The level that every model that was compared reaches."""
        return lowest_level(card.parity for card in self.cards if card.parity is not None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to mind of the build, one line each."""
        return build_warnings(self.manifest, self.build.table)

    @property
    def limit_reasons(self) -> tuple[str, ...]:
        """Why limits that look low are where they are, one line each."""
        return limit_reasons(card.parity.threshold for card in self.cards if card.parity)

    @property
    def columns(self) -> int:
        """How many cards stand side by side: at most 4, and none alone below a full row."""
        return side_by_side(len(self.cards), _MOST_COLUMNS)

    @property
    def banner(self) -> str:
        """The verdict in a few words, which claim the level that was reached and no more."""
        if not self.passed:
            return "Not verified"
        if not self.parity_db:
            return "Verified"
        if self.level == "cannot be told apart":
            return "Verified: cannot be told from float"
        return "Verified: acceptable"

    @property
    def agreement(self) -> str:
        """What parity every model reaches on every picture; only where one was compared."""
        return at_least(card.parity for card in self.cards if card.parity is not None)

    @cached_property
    def cards(self) -> tuple[FileCard, ...]:
        """The models with their figures, highest precision first."""
        whole = self.manifest.float_artifact.size_bytes
        return tuple(
            FileCard(
                item,
                item.size_bytes / whole,
                self.parity.get(item.path),
                self.build.shares.get(item.path),
            )
            for item in self.manifest.models()
        )

    @property
    def plans(self) -> dict[str, QuantPlan]:
        """The plans by target, of the int8 models that are intact."""
        return self._by_target(self.build.plans)

    @property
    def sensitivities(self) -> dict[str, Sensitivity]:
        """What each layer group costs, by target, where a budget had it measured."""
        measured = self._by_target(self.build.sensitivities)
        return {target: measured[target] for target in self.plans if target in measured}

    def _by_target(self, records: Mapping[str, T]) -> dict[str, T]:
        """Return by target what belongs to the intact int8 models, from what is kept by file."""
        return {
            item.target or "": records[item.path]
            for item in self.manifest.models()
            if item.path in self.build.models and item.path in records
        }

    @property
    def fp16_largest(self) -> Fp16Finding | None:
        """The tensor or weight that comes nearest to the end of fp16."""
        return max(self.checked.fp16, key=lambda finding: finding.largest, default=None)

    @property
    def fp16_kept(self) -> tuple[Reason, ...]:
        """Why nodes of the fp16 model compute in float32."""
        return grouped(self.manifest.fp16_kept)

    @property
    def parity_db(self) -> dict[str, float]:
        """Parity by picture of the model of lowest parity with float."""
        compared = [
            card.parity
            for card in self.cards
            if card.parity is not None and card.artifact.precision != "fp32"
        ]
        if not compared:
            return {}
        lowest = min(compared, key=lambda record: record.psnr_db_mean)
        return {image.name: image.psnr_db for image in lowest.per_image}


def side_by_side(count: int, most: int) -> int:
    """Return into how many columns some pictures or cards go, so that none stands alone at the end.

    >>> [side_by_side(count, 3) for count in (1, 3, 4, 5, 6)], side_by_side(5, 4)
    ([1, 3, 2, 3, 3], 3)
    """
    rows = -(-count // most)
    columns = -(-count // rows)
    fitting = (fewer for fewer in range(columns, 1, -1) if count % fewer != 1)
    return next(fitting, columns)


def model_label(artifact: Artifact) -> str:
    """Return what a model is called on the page, such as ``int8 ort``."""
    return " ".join(part for part in (artifact.precision, artifact.target) if part)


def read_content(folder: Path, progress: Progress) -> Content:
    """Read and check everything that lies in a build's folder.

    Args:
        folder: of the build.
        progress: told what is going on.

    Raises:
        VerificationError: there is no manifest, or it is broken.
    """
    opened = open_build(folder, read_manifest(folder / MANIFEST_NAME))
    return content_of(check_folder(opened, progress))


def content_of(checked: CheckedBuild) -> Content:
    """Return what is known of a build whose manifest is written and whose files were checked."""
    manifest_sha256 = sha256_file(checked.build.folder / MANIFEST_NAME)
    return Content(checked, checked.checks, manifest_sha256)


def threshold_db(card: FileCard) -> float:
    """Return the parity that every picture of a model that was compared must reach, in dB."""
    assert card.parity is not None
    return card.parity.threshold.psnr_db
