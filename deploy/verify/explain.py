"""Measure optional diagnostics (backend error, layer-wise SQNR) that change no verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from calib.arrays import Float32
from calib.dataset import PatchRef
from calib.errors import EsrdeployError
from calib.images import to_input
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.metrics.layer_sqnr import LayerError, compare_layers
from deploy.progress import Progress
from deploy.runtime.backends import BackendName
from deploy.runtime.outputs import Outputs
from deploy.runtime.runner import full_batches
from deploy.verify.backend_error import PICTURES, BackendError, measure_backend
from deploy.verify.backends_of_file import backends_of, why_not_run
from deploy.verify.contents import CheckedBuild

LAYER_PICTURES = 1
"""On how many pictures layers are compared, in ``--layers`` as in the report: the first of those
that are compared at all. Their figures are sums over millions of values."""


@dataclass(frozen=True)
class VerifyOptions:
    """What to measure beyond the verdict.

    Attributes:
        backends: runtimes to run every file in; ``None``: each file in its own
            (:func:`deploy.runtime.backends.backends_of`); empty: none.
        layers: on how many pictures to compare every tensor of each int8 file with the float
            network's; 0: on none.
        latency: whether to time the files.
    """

    backends: tuple[BackendName, ...] | None = None
    layers: int = 0
    latency: bool = False


VERDICT_ONLY = VerifyOptions(backends=())


def measure_backends(
    build: Build, outputs: Outputs, options: VerifyOptions, progress: Progress
) -> tuple[tuple[BackendError, ...], list[Check], dict[str, str]]:
    """Run the files of a build in runtimes of this machine, one at a time.

    Args:
        build: what to run.
        outputs: what the files draw: the float model as it is, the others by reference.
        options: in which runtimes.
        progress: told what is going on.

    Returns:
        The errors, a skipped check for each file that a runtime refuses, and why the other files
        were not run.
    """
    reasons = {item.path: why_not_run(item, options.backends) for item in build.manifest.models()}
    not_run = {path: reason for path, reason in reasons.items() if reason is not None}
    jobs = [
        (item.path, name)
        for item in build.manifest.models()
        if item.path in outputs.by_file
        for name in backends_of(item, options.backends)
    ]
    if not jobs:
        return (), [], not_run
    shown = outputs.first(PICTURES)
    reference = build.manifest.float_artifact.path
    measured: list[BackendError] = []
    refused: list[Check] = []
    title = f"{build.manifest.model}: running in {', '.join(dict.fromkeys(n for _, n in jobs))}"
    with progress.stage(title, len(shown.images) * len(jobs)) as advance:
        for path, name in jobs:
            pairs = shown.pairs(reference, path, build.manifest.network.output)
            try:
                measured.append(measure_backend(name, path, build.files[path], pairs, advance))
            except EsrdeployError as error:
                refused.append(Check.skipped(f"backend {name}", path, str(error)))
    return tuple(measured), refused, not_run


def _single(outputs: Sequence[Float32], count: int) -> tuple[Float32, ...]:
    """Return the first ``count`` pictures of outputs [N, C, H, W], each as [1, C, H, W]."""
    pictures = np.concatenate(outputs)[:count]
    return tuple(np.split(pictures, count))


@dataclass(frozen=True, eq=False)
class Layers:
    """How far the tensors of int8 files lie from the float network's.

    Attributes:
        errors: of every tensor, by file.
        checks: one for each file that could not be compared.
        outputs: what the files draw of the pictures, for whoever needs them as well.
    """

    errors: Mapping[str, tuple[LayerError, ...]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    outputs: Outputs = field(default_factory=Outputs)


def measure_layers(
    checked: CheckedBuild, patches: Sequence[PatchRef], progress: Progress
) -> Layers:
    """Compare every tensor of each int8 file of a build with the float network's.

    Args:
        checked: the build, with the float graph under each plan.
        patches: pictures to compare on; none compares nothing.
        progress: told what is going on.
    """
    errors: dict[str, tuple[LayerError, ...]] = {}
    drawn: dict[str, tuple[Float32, ...]] = {}
    checks: list[Check] = []
    build = checked.build
    tile = build.manifest.network.tile
    inputs = tuple(to_input(picture.load(), tile.channels) for picture in patches)
    batches = full_batches(np.concatenate(inputs), tile.batch) if inputs else []
    for item in build.manifest.models() if inputs else ():
        if item.precision != "int8" or item.path not in build.models:
            continue
        prepared = checked.prepared.get(item.path)
        if prepared is None:
            reason = "its plan or the float model is not intact"
            checks.append(Check.skipped("layers", item.path, reason))
            continue
        title = f"{build.manifest.model}: comparing every tensor of {item.path}"
        try:
            with progress.stage(title, len(batches)) as advance:
                found = compare_layers(prepared, build.models[item.path], batches, on_step=advance)
        except EsrdeployError as error:
            checks.append(Check.of(False, "layers", item.path, str(error)))
        else:
            errors[item.path], drawn[item.path] = found.errors, _single(found.outputs, len(inputs))
    names = tuple(patch.name for patch in patches)
    return Layers(errors, tuple(checks), Outputs(names, inputs, drawn))
