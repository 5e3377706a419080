"""Tell whether a return was computed in float by a file of the bundle that a tool quantizes.

Such files are float graphs whose weights lie on the grid of int8 weights: as near to the float
network as int8 is, and nearer to it than to any int8 model. Each is run once on a returned output's
input; what was returned is explained where it equals that as fp16 equals float, and nothing else
of the bundle as well.
"""

from pathlib import Path

import numpy as np

from deploy.artifacts.onnx_files import load_model
from deploy.diagnosis.pictures import Finding
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.handoff.golden_set import GoldenSet
from deploy.handoff.returned.saturated import Worst
from deploy.metrics.psnr_ssim import parity_db
from deploy.metrics.thresholds import THRESHOLDS
from deploy.progress import Progress
from deploy.runtime.runner import model_runner
from quant.passes.forms.form import in_usual_form

_CLEARLY_NEARER_DB = 6.02


def find_float_run(
    root: Path, manifest: BundleManifest, output: Worst | None, progress: Progress
) -> Finding | None:
    """Return what shows that a file for tools that quantize ran in float.

    Args:
        root: of the unpacked bundle.
        manifest: of the bundle.
        output: one that does not pass; ``None``: all do.
        progress: told what is going on.

    Raises:
        VerificationError: a file of the bundle cannot be read.
    """
    if output is None:
        return None
    seen = np.clip(output.array, 0.0, 1.0)
    for path in float_files(manifest):
        model = in_usual_form(load_model(root / path, path))
        with progress.stage(f"computing {output.name} with {path} in float", 1) as advance:
            drawn = model_runner(model, optimized=True)(
                GoldenSet.of(root, manifest).input(output.name)
            )
            advance()
        found_db = parity_db(np.clip(drawn, 0.0, 1.0), seen)
        if found_db >= max(THRESHOLDS["fp16"].psnr_db, output.psnr_db + _CLEARLY_NEARER_DB):
            text = (
                f"{output.name} is {found_db:.1f} dB from what {path} gives in float: it is a "
                "float graph for tools that quantize, and was not quantized; run an int8 file, or "
                "let the tool quantize it with the scales beside it"
            )
            return Finding(f"{path} ran in float", text, output.psnr_db, found_db)
    return None


def float_files(manifest: BundleManifest) -> list[str]:
    """Return the float graphs of a bundle other than its float model, each content once."""
    others = {manifest.float_model, *manifest.int8_models.values()}
    by_digest = {
        file.sha256: file.path
        for file in reversed(manifest.files)
        if file.path.endswith(".onnx") and file.path not in others
    }
    return sorted(by_digest.values())
