"""A build and pictures in, the figures that explain a verdict without changing it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calib.dataset import PatchRef
from calib.errors import EsrdeployError
from calib.images import to_input
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import Artifact
from deploy.metrics.layer_sqnr import LayerError, layer_errors
from deploy.metrics.parity import OutputPair
from deploy.progress import Advance, Progress
from deploy.runtime.backends import BACKENDS, BackendName, is_installed
from deploy.verify.backend_error import BackendError, measure_backend

LAYER_PICTURES = 2
"""On how many pictures layers are compared: their figures are sums over millions of values."""


@dataclass(frozen=True)
class VerifyOptions:
    """What to measure beyond the verdict.

    Attributes:
        backends: runtimes to run every file in; ``None``: each file in its own
            (:func:`deploy.runtime.backends.backends_of`); empty: none.
        layers: compare every tensor of each int8 file with the float network's.
    """

    backends: tuple[BackendName, ...] | None = None
    layers: bool = False


VERDICT_ONLY = VerifyOptions(backends=())


def measure_backends(
    build: Build,
    drawn: Mapping[str, Sequence[OutputPair]],
    scope: VerifyOptions,
    progress: Progress,
) -> tuple[tuple[BackendError, ...], list[Check]]:
    """Run the files of a build in runtimes of this machine, one at a time.

    Args:
        build: what to run.
        drawn: the pictures, by file, as the float network and the meaning of the file draw them.
        scope: says in which runtimes.
        progress: told what is going on.

    Returns:
        The errors, and a skipped check for each file that a runtime refuses.
    """
    jobs = [
        (item.path, name)
        for item in build.manifest.models()
        if item.path in drawn
        for name in backends_of(item, scope.backends)
    ]
    if not jobs:
        return (), []
    title = f"{build.manifest.model}: running in {', '.join(dict.fromkeys(n for _, n in jobs))}"
    with progress.stage(title, sum(len(drawn[path]) for path, _ in jobs)) as advance:
        outcomes = [_backend_outcome(build, *job, drawn[job[0]], advance) for job in jobs]
    measured = tuple(item for item in outcomes if isinstance(item, BackendError))
    return measured, [item for item in outcomes if isinstance(item, Check)]


def _backend_outcome(
    build: Build, path: str, name: BackendName, drawn: Sequence[OutputPair], advance: Advance
) -> BackendError | Check:
    try:
        return measure_backend(name, path, build.models[path], drawn, advance)
    except EsrdeployError as error:
        return Check.skipped(f"backend {name}", path, str(error))


def measure_layers(
    build: Build, patches: Sequence[PatchRef], scope: VerifyOptions, progress: Progress
) -> tuple[dict[str, tuple[LayerError, ...]], list[Check]]:
    """Compare every tensor of each int8 file of a build with the float network's.

    Returns:
        The errors by file, and a check for each file that could not be compared.
    """
    if not scope.layers:
        return {}, []
    pictures = patches[:LAYER_PICTURES]
    outcomes = {
        item.path: _layer_outcome(build, item, pictures, progress)
        for item in build.manifest.models()
        if item.precision == "int8" and item.path in build.models
    }
    errors = {path: item for path, item in outcomes.items() if not isinstance(item, Check)}
    return errors, [item for item in outcomes.values() if isinstance(item, Check)]


def _layer_outcome(
    build: Build, item: Artifact, pictures: Sequence[PatchRef], progress: Progress
) -> tuple[LayerError, ...] | Check:
    plan = build.plan(item)
    if plan is None or build.float_model is None:
        return Check.skipped("layers", item.path, "its plan or the float model cannot be read")
    title = f"{build.manifest.model}: comparing every tensor of {item.path}"
    inputs = [to_input(picture.load()) for picture in pictures]
    try:
        with progress.stage(title, len(inputs)) as advance:
            return layer_errors(
                build.float_model, build.models[item.path], plan, inputs, on_step=advance
            )
    except EsrdeployError as error:
        return Check.of(False, "layers", item.path, str(error))


def backends_of(item: Artifact, asked: Sequence[BackendName] | None) -> tuple[BackendName, ...]:
    """Return the runtimes to run a file in.

    Args:
        item: the file.
        asked: what the user wants for every file; ``None``: each in the runtime it is made for,
            where that is installed. A file for TensorRT or QNN has none here: what another
            runtime makes of it says nothing about them. fp16 files run in onnxruntime.
    """
    if asked is None:
        own = "ort" if item.precision == "fp16" else item.target
        asked = [name for name in BACKENDS if name == own and is_installed(name)]
    # The float file as onnxruntime runs it is the reference itself.
    return tuple(name for name in asked if (name, item.precision) != ("ort", "fp32"))
