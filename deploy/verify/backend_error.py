"""Measure what a runtime on this machine makes of a model file, beside its reference semantics.

The error of an int8 file comes in two parts, and they have different owners:

    quantization error   float network - QDQ reference semantics of the file
    backend error        QDQ reference semantics - the file as a runtime really executes it

The first is the file's and decides whether it is good. The second is the runtime's on this
processor: fused kernels round elsewhere, and without VNNI sums of 8-bit products saturate
(deploy/runtime/cpu.py). It is reported and never fails a file, because another machine has another.
Its figures belong to this machine, so no artifact holds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import GraphError, VerificationError
from calib.graph import GraphIndex
from calib.output_kind import OutputKind, seen
from deploy.metrics.parity import nearness_db
from deploy.metrics.psnr_ssim import max_abs_error
from deploy.progress import Advance
from deploy.runtime.backends import BackendName, backend_runner, backend_version
from deploy.runtime.cpu import InstructionSet, this_machine
from deploy.runtime.outputs import OutputPair
from deploy.runtime.runner import Runner
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView

PICTURES = 2
"""How many pictures a backend draws; what it does, it does on every one."""

NOTABLE_DB = 0.5
"""From which loss of parity on a way around the backend's error is looked for."""

_UNSEEN_DB = 70.0  # two pictures that agree so well have the same 8-bit values but for a few

# By the type of the activations that convolutions read: the first makes U8S8 kernels accumulate
# in 32 bits, the second lets S8S8 pairs fuse into integer convolutions
# (onnxruntime_session_options_config_keys.h).
_ORT_SETTINGS = {
    frozenset({"uint8"}): ("session.x64quantprecision", "1"),
    frozenset({"int8"}): ("session.qdqisint8allowed", "1"),
}
# OpenVINO computes what is float in bf16 where the processor has it.
_OPENVINO_SETTING = ("INFERENCE_PRECISION_HINT", "f32")


@dataclass(frozen=True)
class PictureError:
    """How far a runtime's picture lies from what the file means.

    Attributes:
        name: of the picture.
        psnr_db: on outputs clipped to [0, 1]; 0 if the runtime's holds NaN or infinity.
        max_abs_error: largest difference of two clipped output values, in [0, 1].
    """

    name: str
    psnr_db: float
    max_abs_error: float


@dataclass(frozen=True)
class Remedy:
    """A setting of the runtime that was tried on this machine.

    Attributes:
        setting: key and value of the session's or the compilation's configuration entry.
        error: the backend with it beside QDQ reference semantics, one entry per picture.
        parity_db: mean parity of the backend with it and the float network, in dB.
    """

    setting: tuple[str, str]
    error: tuple[PictureError, ...]
    parity_db: float

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "setting": "=".join(self.setting),
            "psnr_beside_reference_db_mean": _mean_db(self.error),
            "parity_as_run_db_mean": round(self.parity_db, 4),
        }


@dataclass(frozen=True)
class BackendError:
    """What one runtime makes of one file.

    Attributes:
        artifact: the file.
        backend: name of the runtime.
        version: of the runtime.
        error: its output beside QDQ reference semantics, one entry per picture, never empty.
        meaning_db: mean parity of QDQ reference semantics and the float network, in dB; ``None``
            for the float file itself, which has no parity but with itself.
        parity_db: mean parity of the runtime's output and the float network, in dB.
        activations: integer types of the activations that the file's convolutions read.
        saturable: how many of its convolutions 16-bit accumulation can saturate.
        remedy: a setting under which it loses less, where one is known and helped here.
    """

    artifact: str
    backend: BackendName
    version: str
    error: tuple[PictureError, ...]
    meaning_db: float | None
    parity_db: float
    activations: frozenset[str] = frozenset()
    saturable: int = 0
    remedy: Remedy | None = None

    @property
    def change_db(self) -> float | None:
        """Parity as the backend runs the file less the file's own, in dB: below 0 is a loss."""
        return None if self.meaning_db is None else self.parity_db - self.meaning_db

    @property
    def notable(self) -> bool:
        """Tell whether the backend visibly spoils what the file promises."""
        lost = self.change_db is None or self.change_db < -NOTABLE_DB
        return lost and self.parity_db < _UNSEEN_DB

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "file": self.artifact,
            "runtime": f"{self.backend} {self.version}",
            "pictures": [
                {
                    "picture": image.name,
                    "psnr_beside_reference_db": image.psnr_db,
                    "max_error": image.max_abs_error,
                }
                for image in self.error
            ],
            "psnr_beside_reference_db_mean": _mean_db(self.error),
            "psnr_beside_reference_db_lowest": round(min(one.psnr_db for one in self.error), 4),
            "parity_of_the_file_db_mean": _rounded(self.meaning_db),
            "parity_as_run_db_mean": round(self.parity_db, 4),
            "as_run_less_the_file_db": _rounded(self.change_db),
            "remedy": None if self.remedy is None else self.remedy.record(),
        }


def measure_backend(
    name: BackendName,
    artifact: str,
    model: onnx.ModelProto,
    drawn: Sequence[OutputPair],
    advance: Advance = lambda: None,
) -> BackendError:
    """Run a file in a runtime and compare the result with QDQ reference semantics.

    Args:
        name: the runtime; it must be installed.
        artifact: name of the file.
        model: the file.
        drawn: pictures as the float network and the file in QDQ reference semantics draw them; of
            the float file itself both are the same array.
        advance: called after each inference.

    Raises:
        GraphError: the runtime refuses the model.
        VerificationError: there is no picture.
    """
    if not drawn:
        raise VerificationError(
            f"{artifact} was run in {name} on no picture; expected at least one"
        )
    error, parity = _error(backend_runner(name, model), drawn, advance)
    meaning = None
    if any(picture.candidate is not picture.reference for picture in drawn):
        means = [_error_of(d.name, d.reference, d.candidate, d.kind).psnr_db for d in drawn]
        meaning = float(np.mean(means))
    measured = BackendError(
        artifact,
        name,
        backend_version(name),
        error,
        meaning,
        parity,
        _activations(model),
        len(saturable_convolutions(QdqView(GraphIndex(model)))),
    )
    return _with_remedy(measured, model, drawn) if measured.notable else measured


def machine_note(
    measured: Sequence[BackendError], machine: InstructionSet | None = None
) -> list[str]:
    """Return what the figures mean on this machine, one line each, for people."""
    machine = machine or this_machine()
    lines = [f"this machine: {machine}"] if measured else []
    for item in measured:
        if not item.notable:
            continue
        lines.append(
            f"{item.artifact}: {_spoiled(item)}; that is the backend's error, not the file's"
        )
        if item.remedy is not None:
            key, value = item.remedy.setting
            lines.append(
                f"{item.artifact}: the setting {key}={value} gives "
                f"{item.remedy.parity_db:.1f} dB instead of {item.parity_db:.1f} dB (tried here)"
            )
        if machine.saturates and item.saturable:
            lines.append(
                f"{item.artifact}: {item.saturable} of its convolutions can saturate here; built "
                "with --accumulator-bits 16 none could"
            )
    return lines


def _spoiled(item: BackendError) -> str:
    """Say what a backend that is notable does to a file."""
    here = f"{item.backend} {item.version}"
    if item.change_db is None:
        return f"{here} draws float's picture at {item.parity_db:.1f} dB on this machine"
    return f"{here} changes parity by {item.change_db:+.1f} dB on this machine"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _with_remedy(
    measured: BackendError, model: onnx.ModelProto, drawn: Sequence[OutputPair]
) -> BackendError:
    """Try the setting that is known for the runtime and the file's integers; keep it if it helps.

    onnxruntime's two must not be combined: with both, 1.32 does not load S8S8 files.
    """
    setting = _OPENVINO_SETTING
    if measured.backend == "ort":
        if measured.activations not in _ORT_SETTINGS:
            return measured
        setting = _ORT_SETTINGS[measured.activations]
    try:
        runner = backend_runner(measured.backend, model, dict([setting]))
    except GraphError:  # a runtime that cannot run the file that way has no remedy
        return measured
    error, parity = _error(runner, drawn, lambda: None)
    if parity < measured.parity_db + NOTABLE_DB:
        return measured
    return replace(measured, remedy=Remedy(setting, error, parity))


def _activations(model: onnx.ModelProto) -> frozenset[str]:
    view = QdqView(GraphIndex(model))
    return frozenset(data.dtype for _, data, _ in view.integer_convolutions())


def _error(
    run: Runner, drawn: Sequence[OutputPair], advance: Advance
) -> tuple[tuple[PictureError, ...], float]:
    """Return the runtime's error beside QDQ reference semantics, and its parity with float."""
    errors, parities = [], []
    for picture in drawn:
        output = run(picture.network_input)
        errors.append(_error_of(picture.name, picture.candidate, output, picture.kind))
        parities.append(_error_of(picture.name, picture.reference, output, picture.kind).psnr_db)
        advance()
    return tuple(errors), float(np.mean(parities))


def _error_of(name: str, expected: Float32, found: Float32, kind: OutputKind) -> PictureError:
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return PictureError(name, psnr_db=0.0, max_abs_error=1.0)
    largest = max_abs_error(seen(expected, kind), seen(found, kind))
    return PictureError(name, nearness_db(expected, found, kind), largest)


def _mean_db(images: Sequence[PictureError]) -> float:
    return round(float(np.mean([image.psnr_db for image in images])), 4)
