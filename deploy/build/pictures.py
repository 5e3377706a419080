"""Split the calibration images: to round weights on, to judge on, and to learn from."""

from dataclasses import dataclass, replace

from calib.arrays import Float32
from calib.colours import channels_of
from calib.dataset import PatchSet
from calib.images import to_input
from calib.sample import sample_patches
from calib.table import CalibrationTable
from calib.tile import Size
from quant.passes.equivalence import Probe
from quant.rounding.round_weights import IMAGES

HELD_OUT = 2


@dataclass(frozen=True, eq=False)
class Pictures:
    """Calibration-side pictures by what is decided on them; none is verified on.

    Attributes:
        rounding: GPTQ rounds weights on them; the first 6.
        held_out: a budget is held on them, and what was learned judged; the next 2, so none of the
            first.
        learning: refinement learns from them; all but those held out.
        probe: proves that a rewritten graph is still the network.
    """

    rounding: PatchSet
    held_out: PatchSet
    learning: PatchSet
    probe: Probe

    def inputs(self, patches: PatchSet) -> list[Float32]:
        """Return each of some patches as the probe is: float32 ``[1,C,H,W]`` in [0,1]."""
        channels = channels_of(self.probe.values.shape[1])
        return [to_input(patch.load(), channels) for patch in patches.patches]


def pictures_of(source: PatchSet | CalibrationTable, size: Size, probe: Probe) -> Pictures:
    """Split calibration images: the first 6 for GPTQ, the next 2 held out, the rest to learn from.

    Where there are too few, and with a finished table, whose pictures are not at hand, the
    embedded sample's calibration photographs serve.

    Args:
        source: the calibration images, or the finished table.
        size: of the pictures that the network takes.
        probe: a picture to prove rewritten graphs on.
    """
    sample = sample_patches("calibration", IMAGES + HELD_OUT, size)
    if isinstance(source, CalibrationTable):
        known = source.images.origin == "sample"
        count = min(IMAGES, source.images.count) if known else IMAGES
        rounding = _some(sample, 0, count)
        return Pictures(rounding, _some(sample, IMAGES, HELD_OUT), rounding, probe)
    enough = len(source.patches) >= IMAGES + HELD_OUT
    held_out = _some(source if enough else sample, IMAGES, HELD_OUT)
    apart = {patch.sha256 for patch in held_out.patches}
    others = tuple(patch for patch in source.patches if patch.sha256 not in apart)
    learning = replace(source, requested=len(others), patches=others)
    return Pictures(_some(source, 0, IMAGES), held_out, learning, probe)


def _some(patches: PatchSet, first: int, count: int) -> PatchSet:
    return replace(patches, requested=count, patches=patches.patches[first : first + count])
