"""Tell whether a return was spoiled by 8-bit products that saturated, by computing it again so.

The int8 model is run once more on the worst picture, as a CPU without VNNI computes it
(deploy/diagnosis/saturation.py). What was returned is explained if it lies nearer to that than to
QDQ reference semantics by what every named cause has to explain, half of the squared error.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from deploy.artifacts.onnx_files import load_model
from deploy.diagnosis.pictures import MIN_GAIN_DB, Finding
from deploy.diagnosis.saturation import saturating_model
from deploy.handoff.bundle_manifest import BundleManifest, int8_kind
from deploy.handoff.golden_set import GoldenSet
from deploy.metrics.psnr_ssim import parity_db
from deploy.progress import Progress
from deploy.runtime.runner import model_runner
from quant.passes.forms.form import in_usual_form

SATURATED = "8-bit products saturated at 16 bits, as on an x86-64 CPU without VNNI"
REMEDY = (
    "set onnxruntime's session entry session.x64quantprecision=1, take a CPU with VNNI or the "
    "chip itself, or build with --accumulator-bits 16"
)


@dataclass(frozen=True, eq=False)
class Worst:
    """The returned output that is furthest off.

    Attributes:
        name: of the golden input.
        psnr_db: parity with float, in dB.
        array: float32 ``[1, 3, H, W]``.
    """

    name: str
    psnr_db: float
    array: Float32


def find_saturation(
    root: Path, manifest: BundleManifest, profile: str, worst: Worst | None, progress: Progress
) -> Finding | None:
    """Return what shows that 8-bit products saturated where an output was computed.

    Args:
        root: of the unpacked bundle.
        manifest: of the bundle.
        profile: of the int8 model that was run.
        worst: the output; ``None``: all are near enough.
        progress: told what is going on.

    Raises:
        VerificationError: a file of the bundle cannot be read.
    """
    if worst is None or not np.isfinite(worst.array).all():
        return None
    path = manifest.int8_models[profile]
    model = saturating_model(in_usual_form(load_model(root / path, path)))
    if model is None:
        return None
    golden = GoldenSet.of(root, manifest)
    with progress.stage(f"computing {worst.name} as a CPU without VNNI does", 1) as advance:
        network_input = golden.input(worst.name)
        saturated = model_runner(model, optimized=False)(network_input)
        advance()
    seen = np.clip(worst.array, 0.0, 1.0)
    meant = golden.output(int8_kind(profile), worst.name)
    as_meant_db = parity_db(np.clip(meant, 0.0, 1.0), seen)
    as_saturated_db = parity_db(np.clip(saturated, 0.0, 1.0), seen)
    if as_saturated_db < as_meant_db + MIN_GAIN_DB:
        return None
    text = (
        f"{worst.name} is {as_saturated_db:.1f} dB from what such a CPU makes of the file, and "
        f"{as_meant_db:.1f} dB from what the file means; {manifest.saturable[profile]} of its "
        f"convolutions can saturate; {REMEDY}"
    )
    return Finding(SATURATED, text, as_meant_db, as_saturated_db)
