"""Make what a vendor would return in every way that the guide to failed verifications shows.

All of it is made from the golden vectors of a bundle and, where a network has to draw something
else, from the bundle's models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import RGB
from calib.images import to_input
from calib.sample import sample_patches
from deploy.artifacts.onnx_files import load_model
from deploy.diagnosis.saturation import saturating_model
from deploy.handoff.bundle_manifest import FLOAT_KIND, BundleManifest, int8_kind
from deploy.handoff.golden_set import GoldenSet
from deploy.handoff.returned.float_run import float_files
from deploy.runtime.runner import model_runner

Arrays = Mapping[str, Float32]


@dataclass(frozen=True)
class Golden:
    """What a bundle brings to a vendor, pictures by golden input.

    Attributes:
        root: of the unpacked bundle.
        manifest: of the bundle, which is for one vendor and holds one int8 model.
    """

    root: Path
    manifest: BundleManifest

    @cached_property
    def inputs(self) -> Arrays:
        """What is fed in, float32 [1, 3, H, W]."""
        return {name: self._set.input(name) for name in self._names}

    @cached_property
    def float_outputs(self) -> Arrays:
        """What the float model makes of it, float32 [1, 3, 4H, 4W]."""
        return {name: self._set.output(FLOAT_KIND, name) for name in self._names}

    @cached_property
    def int8_outputs(self) -> Arrays:
        """What the int8 model makes of it, in QDQ reference semantics."""
        (profile,) = self.manifest.int8_models
        return {name: self._set.output(int8_kind(profile), name) for name in self._names}

    def saturated(self) -> Arrays:
        """Return what a CPU without VNNI makes of it with the int8 model."""
        (path,) = self.manifest.int8_models.values()
        model = saturating_model(load_model(self.root / path, path))
        if model is None:
            raise ValueError(f"{path}: no convolution of it can saturate")
        run = model_runner(model, optimized=False)
        return {name: run(given) for name, given in self.inputs.items()}

    def unquantized(self) -> Arrays:
        """Return what the float graph for tools that quantize makes of it, unquantized."""
        path, *_ = float_files(self.manifest)
        run = model_runner(self.root / path, optimized=True)
        return {name: run(given) for name, given in self.inputs.items()}

    def of_other_pictures(self) -> Arrays:
        """Return what the float model makes of pictures that are none of the bundle's."""
        run = model_runner(self.root / self.manifest.float_model, optimized=True)
        patches = sample_patches("calibration", len(self._names)).patches
        return {
            name: run(to_input(patch.load(), RGB))
            for name, patch in zip(self._names, patches, strict=True)
        }

    @property
    def _set(self) -> GoldenSet:
        return GoldenSet.of(self.root, self.manifest)

    @property
    def _names(self) -> list[str]:
        return [vector.name for vector in self.manifest.golden]


@dataclass(frozen=True)
class SpoiltReturn:
    """One fault of what a vendor returns.

    Attributes:
        name: of its pictures.
        says: what ``verify --returned`` prints of it, and the guide's table has.
        done: what was done, for a reader.
        outputs: what comes back, by golden input.
    """

    name: str
    says: str
    done: str
    outputs: Callable[[Golden], Arrays]


def _each(change: Callable[[Float32], Float32]) -> Callable[[Golden], Arrays]:
    """Return what changes every output of int8."""
    return lambda golden: {name: change(array) for name, array in golden.int8_outputs.items()}


def _noisy(golden: Golden) -> Arrays:
    """Return float's outputs with noise as strong as the error of int8."""
    generator = np.random.default_rng(0)
    noisy = {}
    for name, drawn in golden.float_outputs.items():
        spread = float(np.std(golden.int8_outputs[name] - drawn))
        noisy[name] = drawn + generator.normal(0.0, spread, drawn.shape).astype(np.float32)
    return noisy


def _grainy(golden: Golden) -> Arrays:
    generator = np.random.default_rng(0)
    return {
        name: drawn + generator.normal(0.0, 0.05, drawn.shape).astype(np.float32)
        for name, drawn in golden.int8_outputs.items()
    }


def _enlarged(golden: Golden) -> Arrays:
    """Return the inputs with every pixel as a square, and no network in between."""
    return {
        name: given.repeat(4, axis=2).repeat(4, axis=3) for name, given in golden.inputs.items()
    }


def _mixed_up(golden: Golden) -> Arrays:
    names = [*golden.int8_outputs]
    return dict(
        zip(names, [golden.int8_outputs[name] for name in names[1:] + names[:1]], strict=True)
    )


RETURNS = (
    SpoiltReturn(
        "returned-bgr",
        "channels swapped",
        "the output was written as BGR",
        _each(lambda drawn: drawn[:, ::-1]),
    ),
    SpoiltReturn(
        "returned-turned",
        "height and width exchanged",
        "rows were read as columns",
        _each(lambda drawn: drawn.swapaxes(2, 3)),
    ),
    SpoiltReturn(
        "returned-shifted",
        "shifted by",
        "the picture lies three pixels to the right",
        _each(lambda drawn: np.roll(drawn, 3, axis=3)),
    ),
    SpoiltReturn(
        "returned-bytes",
        "missing / 255",
        "the output was left in 0 to 255",
        _each(lambda drawn: drawn * np.float32(255.0)),
    ),
    SpoiltReturn(
        "returned-offset",
        "values need",
        "the output was brought back from codes with a zero point that is 20 codes off",
        _each(lambda drawn: drawn + np.float32(20 / 255)),
    ),
    SpoiltReturn(
        "returned-clipped",
        "range clipped to",
        "the last range was cut off at both ends",
        _each(lambda drawn: drawn.clip(0.2, 0.7)),
    ),
    SpoiltReturn(
        "returned-mixed-up",
        "the picture of another golden input",
        "every output has the name of the one before it",
        _mixed_up,
    ),
    SpoiltReturn(
        "returned-float",
        "not int8",
        "float ran in place of int8",
        lambda golden: {n: a + np.float32(1e-5) for n, a in golden.float_outputs.items()},
    ),
    SpoiltReturn(
        "returned-noise",
        "not this int8",
        "float ran, and noise was added that is as strong as the error of int8",
        _noisy,
    ),
    SpoiltReturn(
        "returned-copy",
        "copied",
        "the bundle's own golden files were sent back",
        lambda golden: golden.int8_outputs,
    ),
    SpoiltReturn(
        "returned-others",
        "other pictures than the golden inputs enlarged",
        "float ran on other photographs",
        Golden.of_other_pictures,
    ),
    SpoiltReturn(
        "returned-another-network",
        "drawn by another network, in fewer bits",
        "every pixel of the input became a square",
        _enlarged,
    ),
    SpoiltReturn(
        "returned-grainy",
        "noise on the values",
        "every value of int8 was moved at random, by a twentieth of the range",
        _grainy,
    ),
    SpoiltReturn(
        "returned-unquantized",
        "ran in float",
        "the float graph with int8 weights ran as it is: the tool had not quantized it",
        Golden.unquantized,
    ),
    SpoiltReturn(
        "returned-saturated",
        "saturated at 16 bits",
        "int8 ran on a CPU without VNNI, where sums of two products are cut off at 16 bits",
        Golden.saturated,
    ),
)
