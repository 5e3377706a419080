"""A build's folder in, everything the report says of it out, in words and figures.

Nothing here runs a network or knows HTML. What stands in a file that is not the one the manifest
names is not shown: the failed check says so instead.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calib.digest import sha256_file
from deploy.artifacts import MANIFEST_NAME, PARITY_NAME, Artifact, plan_file_name
from deploy.checks import Build, Check
from deploy.manifest import Manifest, read_manifest
from deploy.parity import THRESHOLDS
from deploy.verify import check_contents
from quant.plan import QuantPlan

_GREY_LEVELS = 255
_INTACT = ("file", "passed")


@dataclass(frozen=True)
class FileCard:
    """One model and its figures.

    Attributes:
        artifact: the file.
        share: its size per size of the float file.
        parity: its record in ``parity.json``; ``None`` where it was not compared.
    """

    artifact: Artifact
    share: float
    parity: Mapping[str, Any] | None

    @property
    def label(self) -> str:
        """Precision and target in one word."""
        return model_label(self.artifact)

    @property
    def passed(self) -> bool:
        """Whether it was compared and every picture reached its threshold."""
        return self.parity is not None and bool(self.parity["passed"])

    @property
    def reference(self) -> str:
        """What it was compared with."""
        return "torch" if self.artifact.precision == "fp32" else "float"

    @property
    def grey_levels(self) -> float | None:
        """Parity as a root mean square difference, in grey levels of 255."""
        if self.parity is None:
            return None
        return float(_GREY_LEVELS * 10 ** (-self.parity["psnr_db_mean"] / 20))


@dataclass(frozen=True)
class Reason:
    """Why some nodes or tensors are as they are.

    Attributes:
        text: the reason.
        names: of the nodes or tensors.
    """

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class PlanSummary:
    """What a plan does and why.

    Attributes:
        target: it is made for.
        options: it was made with, in words.
        rules: how ranges were found, with the edges; most frequent first.
        kept_float: why nodes stay in float; most frequent first.
        nearest: why weights kept their nearest codes, where others were rounded otherwise.
        weights: how many weights are quantized.
        edges: how many activations are.
    """

    target: str
    options: tuple[tuple[str, str], ...]
    rules: tuple[Reason, ...]
    kept_float: tuple[Reason, ...]
    nearest: tuple[Reason, ...]
    weights: int
    edges: int


@dataclass(frozen=True)
class Content:
    """What is known of a build without running it.

    Attributes:
        folder: of the build.
        build: its intact files.
        checks: what was asked of them.
        parity: content of ``parity.json``; empty where it is not intact.
        plans: by target, of the int8 models whose plan is intact.
        manifest_sha256: digest of ``manifest.json``.
    """

    folder: Path
    build: Build
    checks: tuple[Check, ...]
    parity: Mapping[str, Any]
    plans: Mapping[str, QuantPlan]
    manifest_sha256: str

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
                lines += [f"{card.artifact.path}, {line}" for line in card.parity["failures"]]
            elif card.artifact.precision != "fp32":  # its weights may not be at hand
                lines.append(f"{card.artifact.path}: was compared with nothing")
        if all(card.parity is None for card in self.cards):
            lines.append("nothing was compared")
        return tuple(lines)

    @property
    def passed(self) -> bool:
        """Whether everything was compared and nothing failed."""
        return not self.failures

    @cached_property
    def cards(self) -> tuple[FileCard, ...]:
        """The models with their figures, highest precision first."""
        whole = self.manifest.float_artifact.size_bytes
        records = self.parity.get("artifacts", {})
        return tuple(
            FileCard(item, item.size_bytes / whole, records.get(item.path))
            for item in self.manifest.models()
        )

    @property
    def parity_db(self) -> dict[str, float]:
        """Parity by picture of the model that the float model is hardest to tell from."""
        compared = [
            card.parity
            for card in self.cards
            if card.parity is not None and card.artifact.precision != "fp32"
        ]
        if not compared:
            return {}
        lowest = min(compared, key=lambda record: record["psnr_db_mean"])
        return {image["name"]: image["psnr_db"] for image in lowest["per_image"]}


def model_label(artifact: Artifact) -> str:
    """Return what a model is called on the page, such as ``int8 ort``."""
    return " ".join(part for part in (artifact.precision, artifact.target) if part)


def read_content(folder: Path) -> Content:
    """Read and check everything that lies in a build's folder.

    Raises:
        VerificationError: there is no manifest, or it is broken.
    """
    path = folder / MANIFEST_NAME
    manifest = read_manifest(path)
    build, checks, _ = check_contents(folder, manifest)
    intact = {check.artifact for check in checks if (check.name, check.status) == _INTACT}
    parity = json.loads((folder / PARITY_NAME).read_bytes()) if PARITY_NAME in intact else {}
    return Content(folder, build, tuple(checks), parity, _plans(build, intact), sha256_file(path))


def _plans(build: Build, intact: set[str]) -> dict[str, QuantPlan]:
    plans = {}
    for item in build.manifest.models():
        plan = build.plan(item) if item.path in build.models else None
        target = item.target or ""
        if plan is not None and plan_file_name(build.manifest.model, target) in intact:
            plans[target] = plan
    return plans


def summarize_plan(plan: QuantPlan) -> PlanSummary:
    """Group what a plan decides by its reasons."""
    rules = {name: edge.rule.partition(", shared")[0] for name, edge in plan.edges.items()}
    types = Counter(edge.dtype for edge in plan.edges.values())
    return PlanSummary(
        target=plan.target,
        options=(
            (
                "activations",
                ", ".join(f"{count} {dtype}" for dtype, count in sorted(types.items())),
            ),
            *((name.replace("_", " "), _spelled(value)) for name, value in plan.options.items()),
        ),
        rules=_grouped(rules),
        kept_float=_grouped(plan.kept_float),
        nearest=_grouped(plan.refined.nearest if plan.refined else {}),
        weights=len(plan.weights),
        edges=len(plan.edges),
    )


def threshold_db(card: FileCard) -> float:
    """Return the parity that every picture of a model must reach, in dB."""
    assert card.artifact.precision is not None
    return THRESHOLDS[card.artifact.precision].psnr_db


def _grouped(reasons: Mapping[str, str]) -> tuple[Reason, ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        groups[reason].append(name)
    ranked: Sequence[tuple[str, list[str]]] = sorted(
        groups.items(), key=lambda item: (-len(item[1]), item[0])
    )
    return tuple(Reason(reason, tuple(sorted(names))) for reason, names in ranked)


def _spelled(value: object) -> str:
    match value:
        case None:
            return "chosen per tensor"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
