"""Check that a bundle is whole and still computes what it says.

It needs the bundle and this package, and nothing of the build. No script of the bundle is run.
The order is the order of trust: the zip, the manifest, every file's digest, the models, the
golden vectors, and last the vendors' engines that are installed here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from calib.colours import RGB
from calib.digest import sha256_bytes
from calib.errors import EsrdeployError
from calib.images import read_image
from deploy.artifacts.check import Check, check_digest
from deploy.artifacts.files import MANIFEST_NAME, SIGNATURE_NAME
from deploy.artifacts.onnx_files import load_model
from deploy.handoff.acceptance import DRIFT_DB, rerun_db
from deploy.handoff.bundle_manifest import (
    FLOAT_KIND,
    INPUT_KIND,
    INT8_PREFIX,
    BundleManifest,
    GoldenVector,
    golden_path,
    int8_kind,
    read_contents,
)
from deploy.handoff.bundle_zip import opened
from deploy.handoff.check_grids import check_grids
from deploy.handoff.golden import FEWEST, golden_input
from deploy.handoff.golden_set import GoldenSet, agreement
from deploy.handoff.proof import prove
from deploy.handoff.vendors import vendors
from deploy.progress import Advance, Progress
from deploy.runtime.runner import model_runner


@dataclass(frozen=True)
class BundleCheck:
    """What was asked of a bundle, and what came out.

    Attributes:
        model: name of the network.
        vendors: what the bundle is for.
        checks: every check that was made or skipped, with its reason.
    """

    model: str
    vendors: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether something was checked, and nothing failed."""
        statuses = {check.status for check in self.checks}
        return "passed" in statuses and "failed" not in statuses

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "model": self.model,
            "vendors": list(self.vendors),
            "passed": self.passed,
            "checks": [check.record() for check in self.checks],
        }


def check_bundle(bundle: Path, progress: Progress) -> BundleCheck:
    """Check a bundle, zip or folder.

    Raises:
        UsageError: there is no such bundle.
        VerificationError: it cannot be unpacked safely, or its manifest is not one.
    """
    with opened(bundle) as root:
        manifest = read_contents(root)
        with progress.stage("checking files", 1) as advance:
            checks = list(_check_files(root, manifest))
            advance()
        models: dict[str, onnx.ModelProto] = {}
        if all(check.status == "passed" for check in checks):
            checks += _load_models(root, manifest, models)
        if all(check.status == "passed" for check in checks):
            checks += check_grids(manifest, models)
            checks += _check_golden(root, manifest, models, progress)
            checks += _check_engines(root, manifest, progress)
        else:
            reason = "a file is not the one that was packed, or no model"
            checks.append(Check.skipped("golden vectors", "golden", reason))
        vendors = tuple(vendor.name for vendor in manifest.vendors)
        return BundleCheck(manifest.model, vendors, tuple(checks))


def _check_files(root: Path, manifest: BundleManifest) -> Iterator[Check]:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    expected = {item.path for item in manifest.files}
    for path in sorted(expected - found):
        yield Check.of(False, "file", path, "is missing")
    for path in sorted(found - expected - {MANIFEST_NAME, SIGNATURE_NAME}):
        yield Check.of(False, "file", path, "is not in the manifest")
    for item in manifest.files:
        if item.path in found:
            yield check_digest(root, item.path, item.sha256, item.size_bytes)


@dataclass(frozen=True)
class GoldenRun:
    """A model of a bundle, and what running it again has to give.

    Attributes:
        path: of the model.
        kind: of the golden arrays that it is held against.
        required_db: how near each vector must come.
    """

    path: str
    kind: str
    required_db: Callable[[GoldenVector], float]


def _golden_runs(manifest: BundleManifest) -> Iterator[GoldenRun]:
    yield GoldenRun(manifest.float_model, FLOAT_KIND, partial(rerun_db, FLOAT_KIND))
    for profile, path in manifest.quantizable_models.items():
        yield GoldenRun(path, FLOAT_KIND, partial(rerun_db, int8_kind(profile)))
    for profile, path in manifest.int8_models.items():
        kind = int8_kind(profile)
        yield GoldenRun(path, kind, partial(rerun_db, kind))


def _load_models(
    root: Path, manifest: BundleManifest, models: dict[str, onnx.ModelProto]
) -> Iterator[Check]:
    """Parse and check every model before one is run; those that are sound go into ``models``."""
    for path in (run.path for run in _golden_runs(manifest)):
        try:
            model = load_model(root / path, path)
            onnx.checker.check_model(model, full_check=True)
        except (
            EsrdeployError,
            onnx.checker.ValidationError,
            onnx.shape_inference.InferenceError,
        ) as error:
            yield Check.of(False, "model", path, str(error).strip().splitlines()[0])
            continue
        models[path] = model


def _check_golden(
    root: Path,
    manifest: BundleManifest,
    models: Mapping[str, onnx.ModelProto],
    progress: Progress,
) -> Iterator[Check]:
    """Run every model over every golden input again."""
    count = len(manifest.golden)
    detail = f"{count} golden vectors, expected at least {FEWEST}"
    yield Check.of(count >= FEWEST, "golden vectors", "golden", detail)
    yield from _check_inputs(root, manifest)
    with progress.stage("running golden vectors", count * len(models)) as advance:
        for run in _golden_runs(manifest):
            yield from _check_outputs(root, manifest, run, models[run.path], advance)


def _check_outputs(
    root: Path, manifest: BundleManifest, run: GoldenRun, model: onnx.ModelProto, advance: Advance
) -> Iterator[Check]:
    """Run one model over every golden input again."""
    kind, path = run.kind, run.path
    try:
        runner = model_runner(model, optimized=kind == FLOAT_KIND)
        golden = GoldenSet.of(root, manifest)
        found = agreement(runner, golden, kind, run.required_db, advance)
    except EsrdeployError as error:
        yield Check.of(False, "golden outputs", path, str(error).strip().splitlines()[0])
        return
    needed_db = found.psnr_db - found.margin_db
    detail = f"{found.psnr_db:.1f} dB from golden/{kind}, expected at least {needed_db:.1f} dB"
    yield Check.of(found.holds, "golden outputs", path, detail)
    if kind != FLOAT_KIND:
        profile = kind.removeprefix(INT8_PREFIX)
        recorded_db = float(np.mean([vector.psnr_db[profile] for vector in manifest.golden]))
        detail = f"{found.float_db:.2f} dB from float in the mean, {recorded_db:.2f} recorded"
        agrees = abs(found.float_db - recorded_db) <= DRIFT_DB
        yield Check.of(agrees, "golden parity", path, detail)


def _check_inputs(root: Path, manifest: BundleManifest) -> Iterator[Check]:
    folder, tile = root / "golden" / "picture", manifest.network.tile
    shown = "picture" if tile.channels == RGB else "picture's luma"
    golden = GoldenSet.of(root, manifest)
    for position, vector in enumerate(manifest.golden):
        path = golden_path(INPUT_KIND, vector.name)
        try:
            pictures = [read_image(folder / f"{one.name}.png") for one in manifest.golden]
            found = golden.input(vector.name)
        except EsrdeployError as error:
            yield Check.of(False, "golden input", path, str(error))
            continue
        digest = sha256_bytes(pictures[position].tobytes())
        if digest != vector.sha256:
            detail = f"its picture has sha256 {digest}, the manifest records {vector.sha256}"
            yield Check.of(False, "golden input", path, detail)
            continue
        same = np.array_equal(found, golden_input(pictures, position, tile))
        taken = f"its {shown}{'' if golden.form.values == 'uint8' else ' divided by 255'}"
        detail = taken if same else f"is not {taken}"
        yield Check.of(same, "golden input", path, detail)


def _check_engines(root: Path, manifest: BundleManifest, progress: Progress) -> Iterator[Check]:
    """Run what belongs to the vendors' own engines, where they are installed."""
    known = vendors()
    for record in manifest.vendors:
        vendor = known.get(record.name)
        if vendor is None:
            reason = "this esrdeploy knows no such vendor; its files were checked by digest alone"
            yield Check.skipped("vendor", record.name, reason)
            continue
        for engine in vendor.engines:
            with progress.stage(f"{vendor.name}: running {engine.name}", 1) as advance:
                try:
                    proof = prove(GoldenSet.of(root, manifest), manifest.stem, vendor, engine)
                except EsrdeployError as error:
                    yield Check.of(False, engine.name, vendor.name, str(error))
                    continue
                finally:
                    advance()
            if proof.agreement is None:
                yield Check.skipped(engine.name, vendor.name, proof.detail)
            else:
                yield Check.of(proof.agreement.holds, engine.name, vendor.name, proof.text)
