"""An exported float model in, the float model that everything else is made from out.

The magnitudes that equalization needs come from a few embedded sample photographs, whatever the
user calibrates on. So the prepared model depends on the weights alone: a finished calibration
table of the same weights always fits, and the float file is one and the same in every build.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from calib.calibrate import calibrate
from calib.sample import sample_patches
from deploy.progress import Progress
from quant.passes.driver import Prepared, run_passes
from quant.passes.equalize import equalize, equalized_tensors

MAGNITUDE_PICTURES = 4

Array = npt.NDArray[np.float32]


def prepare(model: onnx.ModelProto, probes: Sequence[Array], progress: Progress) -> Prepared:
    """Equalize the exported model and prove that it is still the network.

    Args:
        model: as exported; it is not changed.
        probes: real pictures to prove it on, float32 ``[1,3,128,128]`` in [0,1]; none of them
            may be a calibration picture.
        progress: told what is going on.

    Raises:
        GraphError: the prepared model is not the same network on the probes.
        CalibrationError: an activation is NaN or infinite.
    """
    patches = sample_patches("calibration", MAGNITUDE_PICTURES)
    title = f"equalizing channels, measured on {len(patches.patches)} sample photographs"
    with progress.stage(title, len(patches.patches) + 1) as advance:
        table = calibrate(
            model, equalized_tensors(model), patches, on_image=lambda _done, _count: advance()
        )
        magnitudes = {name: found.channel_abs_max for name, found in table.tensors.items()}
        prepared = run_passes(
            model, {"equalize": lambda given: equalize(given, magnitudes).model}, probes
        )
        advance()
    return prepared
