"""Build, verify, enlarge and hand off from Python: what the command line does, as functions.

    from deploy.api import build, handoff, upscale, verify

    outcome = build(BuildRequest("animevideov3", targets=("ort", "qnn")))
    verify(outcome.folder)
    large = upscale(picture, outcome.folder)
    handoff(HandoffRequest(outcome.folder, ("qualcomm",)))

Requests and results are typed values, the same that the commands make and print; ``record()`` of a
result is what ``--json`` prints. A :class:`Progress` is told what goes on; by default nobody is.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from calib.arrays import AnyArray
from calib.colours import GRAY
from calib.errors import InputError, UsageError
from deploy.artifacts.find_build import only_build
from deploy.artifacts.precision import ModelPrecision
from deploy.build.budget import Budget
from deploy.build.calibrate import CalibrationRequest
from deploy.build.execution import Execution
from deploy.build.request import BuildRequest
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.outcome import HandoffOutcome
from deploy.pipeline import BuildOutcome, CalibrationOutcome, build_model, calibrate_model
from deploy.progress import Progress, Silent
from deploy.runtime.backends import BackendName
from deploy.upscale.built_file import find_file
from deploy.upscale.enlarge import enlarge
from deploy.upscale.load import load_network
from deploy.upscale.memory import MEMORY_MB
from deploy.upscale.samples import in_gray
from deploy.verify.explain import VERDICT_ONLY, VerifyOptions
from deploy.verify.verdict import verify_tree
from deploy.verify.verification import Verification
from quant.plan import QuantOptions

__all__ = [
    "Budget",
    "BuildOutcome",
    "BuildRequest",
    "CalibrationOutcome",
    "CalibrationRequest",
    "Execution",
    "HandoffOutcome",
    "HandoffRequest",
    "InputError",
    "Progress",
    "QuantOptions",
    "Verification",
    "VerifyOptions",
    "build",
    "calibrate",
    "handoff",
    "upscale",
    "upscaler",
    "verify",
]

Upscaler = Callable[[AnyArray], AnyArray]
"""Enlarges one picture: uint8 or uint16 [H, W] or [H, W, C], C from 1 to 4; the same type out."""

_SILENT = Silent()


def build(request: BuildRequest, progress: Progress = _SILENT) -> BuildOutcome:
    """Build, verify and record the models of a network, as ``esrdeploy build`` does.

    Args:
        request: what to build; ``BuildRequest("x4plus")`` is the command without options.
        progress: told what is going on.

    Returns:
        The folder, its manifest and the verdict: ``outcome.verification.passed``.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    request.require_possible()
    return build_model(request, progress)


def calibrate(request: BuildRequest, progress: Progress = _SILENT) -> CalibrationOutcome:
    """Export a network and calibrate it, as ``esrdeploy calibrate`` does.

    Args:
        request: what would be built.
        progress: told what is going on.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    return calibrate_model(request, progress)


def verify(  # noqa: PLR0913  # five of them have defaults
    path: Path | str = "dist",
    *,
    images: Path | None = None,
    weights: Path | None = None,
    onnx_file: Path | None = None,
    options: VerifyOptions = VERDICT_ONLY,
    progress: Progress = _SILENT,
) -> tuple[Verification, ...]:
    """Verify every build under a folder, as ``esrdeploy verify`` does.

    Args:
        path: a build's folder, or one above it.
        images: folder of pictures to compare on; ``None`` takes the embedded sample.
        weights: the checkpoint that the build was made from, where it is one's own.
        onnx_file: the ONNX file that the build was made from.
        options: what to measure beyond the verdict.
        progress: told what is going on.

    Returns:
        A verdict for each build, with all its reasons. A build that fails is a value.

    Raises:
        InputError: there is no build, or the pictures cannot be used.
        VerificationError: a manifest is broken.
    """
    return verify_tree(
        Path(path),
        images=images,
        weights=weights,
        onnx_file=onnx_file,
        progress=progress,
        options=options,
    )


def handoff(request: HandoffRequest, progress: Progress = _SILENT) -> HandoffOutcome:
    """Make a vendor's bundle of a build, as ``esrdeploy handoff`` does.

    Args:
        request: the build, and whom it is for.
        progress: told what is going on.

    Raises:
        InputError: the request, the build or the images cannot be used.
        VerificationError: a file of the build was changed, or a vendor's engine does not compute
            from the bundle what it should.
    """
    return make_handoff(request, progress)


def upscaler(  # noqa: PLR0913  # five of them have defaults
    build: Path | str = "dist",
    *,
    precision: ModelPrecision | None = None,
    backend: BackendName | None = None,
    provider: str | None = None,
    memory_mb: float = MEMORY_MB,
    own_tiles: bool = False,
) -> Upscaler:
    """Return the function that enlarges pictures with a build; it stays loaded between them.

    Args:
        build: a build's folder, or one with a single build in it.
        precision: of the file; ``None``: int8 where there is one for a runtime here.
        backend: the runtime; ``None``: the faster one that is installed.
        provider: of onnxruntime, such as ``cuda``; ``None``: the CPU.
        memory_mb: what the process may take, 10^6 bytes.
        own_tiles: keep to the size that the file is built for.

    Raises:
        UsageError: there is no such build, file, runtime or provider.
        VerificationError: the file is not the one that its manifest names.
    """
    folder, _ = only_build(Path(build))
    file = find_file(folder, None, precision, backend)
    network = load_network(file, provider, memory_mb=memory_mb, own_tiles=own_tiles)

    def enlarged(picture: AnyArray) -> AnyArray:
        samples = picture[:, :, np.newaxis] if picture.ndim == 2 else picture
        is_picture = samples.ndim == 3 and samples.size and 1 <= samples.shape[2] <= 4
        if not is_picture or samples.dtype not in (np.uint8, np.uint16):
            raise UsageError(
                f"found an array of {picture.dtype}{list(picture.shape)}; expected uint8 or uint16 "
                "[H, W] or [H, W, C] with 1 to 4 channels: gray or RGB, with alpha or without"
            )
        if network.channels == GRAY:
            samples = in_gray(samples)
        drawn = np.concatenate(list(enlarge(samples, network)))
        return drawn[:, :, 0] if picture.ndim == 2 else drawn

    return enlarged


def upscale(picture: AnyArray, build: Path | str = "dist") -> AnyArray:
    """Enlarge one picture with a build; for several, keep what :func:`upscaler` returns.

    Args:
        picture: uint8 or uint16 [H, W] or [H, W, C] with 1 to 4 channels: gray or RGB, with alpha
            or without.
        build: a build's folder, or one with a single build in it.

    Returns:
        The same type, [H*scale, W*scale] or [H*scale, W*scale, C]; a network for gray pictures
        makes one channel of three.

    Raises:
        UsageError: there is no such build, or the array is no picture.
        VerificationError: a file of the build was changed.
    """
    return upscaler(build)(picture)
