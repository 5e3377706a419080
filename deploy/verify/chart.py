"""Hold int8 files against float on a test chart: what photographs rarely show, patch by patch.

Ranges are chosen for the calibration pictures. What reaches beyond them is clipped, however sure
the float network is of it, and no verdict on photographs says so. A low figure here is no failure:
who enlarges such pictures calibrates on some of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from calib.arrays import Float32
from calib.chart import CHART_NAME, PATCH_PX, chart_patches, chart_picture
from calib.errors import EsrdeployError
from calib.images import to_input
from calib.tile import Size
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.metrics.decibels import rounded_down
from deploy.metrics.psnr_ssim import parity_db
from deploy.metrics.thresholds import threshold_of
from deploy.progress import Progress
from deploy.runtime.outputs import Drawn


@dataclass(frozen=True)
class PatchParity:
    """How near an int8 file comes to float on one patch of the chart.

    Attributes:
        patch: what it shows.
        parity_db: PSNR between the two, clipped to [0, 1].
    """

    patch: str
    parity_db: float


@dataclass(frozen=True)
class ChartParity:
    """How near an int8 file comes to float on the chart.

    Attributes:
        artifact: the file.
        patches: those that the input holds as a whole, the lowest first; at least one.
    """

    artifact: str
    patches: tuple[PatchParity, ...]

    @property
    def low(self) -> tuple[PatchParity, ...]:
        """The patches below what every picture has to reach to be acceptable."""
        needed_db = threshold_of("int8", "picture").psnr_db
        return tuple(patch for patch in self.patches if patch.parity_db < needed_db)

    @property
    def counted(self) -> str:
        """How many patches are low, in words; nothing where none is."""
        if not self.low:
            return ""
        counts = f"{len(self.low)} of {len(self.patches)}"
        return f"on {counts} patches of a {CHART_NAME} it is not acceptable"

    def __str__(self) -> str:
        """Return what is low and what the others reach, in one line."""
        low, others = self.low, self.patches[len(self.low) :]
        named = ", ".join(f"{item.parity_db:.1f} dB on {item.patch}" for item in low)
        start = f"{self.artifact} on a {CHART_NAME}: "
        if not low:
            return f"{start}{_at_least(others)} on each of {len(others)} patches"
        rest = f"; {_at_least(others)} on the other {len(others)}" if others else ""
        return f"{start}{named}{rest}. To enlarge such pictures, calibrate on some"

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)


def on_chart(item: Artifact) -> bool:
    """Return whether a file draws the chart: int8 files do, and the float file beside them."""
    return item.precision != "fp16"


def measure_chart(
    build: Build, progress: Progress, known: Drawn = MappingProxyType({})
) -> tuple[ChartParity, ...]:
    """Draw the chart with the float file and each int8 file of a build, and compare.

    Args:
        build: its intact files.
        progress: told what is going on.
        known: what some files draw of some pictures, and need not draw again.

    Returns:
        One entry per int8 file; none for a network of maps, for an input too small for a patch, or
        where the float file does not run. A file that does not run is the comparison's to name.
    """
    tile, float_file = build.manifest.network.tile, build.manifest.float_artifact
    int8 = [item for item in build.manifest.models() if item.precision == "int8"]
    pictures = build.manifest.network.output == "picture"
    if not int8 or not pictures or not any(chart_patches(tile.size)):
        return ()
    patch = chart_picture(tile.size)
    picture = np.repeat(to_input(patch.load(), tile.channels), tile.batch, axis=0)
    drawn: dict[str, Float32] = {}
    with progress.stage(
        f"{build.manifest.model}: drawing a {CHART_NAME}", len(int8) + 1
    ) as advance:
        for item in (float_file, *int8):
            output = known.get((item.path, patch.name))
            try:
                if output is None and item.path in build.files:
                    run = judged_runner(build.files[item.path], item.precision)
                    output = run(picture)[:1]
            except EsrdeployError:
                output = None
            if output is not None and np.isfinite(output).all():
                drawn[item.path] = np.clip(output, 0.0, 1.0)
            advance()
    expected = drawn.get(float_file.path)
    if expected is None:
        return ()
    return tuple(
        ChartParity(item.path, tuple(sorted(found, key=lambda one: one.parity_db)))
        for item in int8
        if item.path in drawn
        for found in [tuple(_by_patch(expected, drawn[item.path], tile.size))]
    )


def _at_least(patches: Sequence[PatchParity]) -> str:
    return f"at least {rounded_down(patches[0].parity_db, digits=1):.1f} dB"


def _by_patch(expected: Float32, found: Float32, size: Size) -> Iterator[PatchParity]:
    """Yield the parity of each patch in two outputs, float32 ``[1,C,H*scale,W*scale]``."""
    scale = expected.shape[2] / size.height_px
    for patch in chart_patches(size):
        rows, columns = (
            slice(round(start * scale), round((start + PATCH_PX) * scale))
            for start in (patch.top, patch.left)
        )
        part = (slice(None), slice(None), rows, columns)
        yield PatchParity(patch.name, parity_db(expected[part], found[part]))
