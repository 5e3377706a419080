"""Read the golden vectors of a bundle, and hold an execution against them.

Their files are in the form in which the bundle's models take and give pictures; what is read of
them is float32 [N, C, H, W], RGB or gray, whatever the form.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calib.arrays import AnyArray, Float32
from calib.colours import GRAY, RGB
from calib.errors import VerificationError
from calib.files import read_whole
from calib.form import Form
from calib.npy import parse_npy
from calib.output_kind import OutputKind
from deploy.handoff.bundle_manifest import (
    FLOAT_KIND,
    INPUT_KIND,
    BundleManifest,
    GoldenVector,
    golden_path,
)
from deploy.metrics.parity import nearness_db
from deploy.progress import Advance
from deploy.runtime.runner import Runner


@dataclass(frozen=True)
class GoldenSet:
    """Golden vectors that lie in a bundle.

    Attributes:
        root: of the unpacked bundle.
        form: in which its models take and give pictures.
        output_kind: what they give out.
        vectors: at least one.
    """

    root: Path
    form: Form
    output_kind: OutputKind
    vectors: tuple[GoldenVector, ...]

    @classmethod
    def of(cls, root: Path, manifest: BundleManifest) -> "GoldenSet":
        """Return all golden vectors of a bundle."""
        return cls(root, manifest.network.form, manifest.network.output, manifest.golden)

    def first(self, count: int) -> "GoldenSet":
        """Return the first ``count`` vectors."""
        return replace(self, vectors=self.vectors[:count])

    def input(self, name: str) -> Float32:
        """Read the input of a vector, float32 [N, C, H, W] in [0, 1], RGB or gray.

        Raises:
            VerificationError: the file holds no picture in the form of the bundle.
        """
        dtype = np.uint8 if self.form.values == "uint8" else np.float32
        return self.form.planes_taken(self._read(INPUT_KIND, name, dtype))

    def output(self, kind: str, name: str) -> Float32:
        """Read what models of a kind make of a vector, float32 [N, C, H, W], RGB or gray.

        Raises:
            VerificationError: the file holds no picture in the form of the bundle.
        """
        return self.form.planes_given(self._read(kind, name, np.float32))

    def _read(self, kind: str, name: str, dtype: npt.DTypeLike) -> AnyArray:
        path = self.root / golden_path(kind, name)
        try:
            array = parse_npy(read_whole(path))
        except (OSError, ValueError) as error:
            raise VerificationError(f"{path.name} is no array file: it {error}") from error
        axis = 3 if self.form.layout == "nhwc" else 1
        if array.dtype != dtype or array.ndim != 4 or array.shape[axis] not in {GRAY, RGB}:
            letters = "N, H, W, 3 or 1" if axis == 3 else "N, 3 or 1, H, W"
            raise VerificationError(f"{path.name} holds no {np.dtype(dtype)} [{letters}]")
        return array


@dataclass(frozen=True)
class Agreement:
    """How near an execution comes to the golden arrays.

    Attributes:
        psnr_db: least parity over the vectors, in dB.
        margin_db: least of what each reaches beyond what it must, in dB.
        float_db: mean parity with the golden float arrays, in dB.
        pictures: how many vectors were run.
    """

    psnr_db: float
    margin_db: float
    float_db: float
    pictures: int

    @property
    def holds(self) -> bool:
        """Whether every vector is near enough."""
        return self.margin_db >= 0.0


def agreement(
    run: Runner,
    golden: GoldenSet,
    kind: str,
    required_db: Callable[[GoldenVector], float],
    advance: Advance = lambda: None,
) -> Agreement:
    """Run golden inputs and compare with the golden arrays of a kind.

    Args:
        run: what to run.
        golden: the vectors.
        kind: of golden array, such as ``float``.
        required_db: parity that a vector must reach.
        advance: called after each.

    Raises:
        VerificationError: an output has another shape or holds NaN, or a file is no such array.
    """
    parities, margins, floats = [], [], []
    for vector in golden.vectors:
        output = run(golden.input(vector.name))
        expected = golden.output(kind, vector.name)
        parities.append(nearness_db(expected, output, golden.output_kind))
        margins.append(parities[-1] - required_db(vector))
        reference = golden.output(FLOAT_KIND, vector.name)
        floats.append(nearness_db(reference, output, golden.output_kind))
        advance()
    return Agreement(min(parities), min(margins), float(np.mean(floats)), len(golden.vectors))
