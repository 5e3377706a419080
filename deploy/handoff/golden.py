"""Make golden vectors: inputs that were not calibrated on, with the outputs they give.

The outputs of int8 models are those of QDQ reference semantics. All are kept unclipped, rounded to
a multiple of a power of two (:func:`step`), which halves what a zip of them takes. The rounding
is far below what they are compared for (107 dB, and 83 dB for int8), and marks them: whoever
computes an output does not get the multiples, whoever copies the file does.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from calib.arrays import Float32
from calib.choose_patches import folder_patches
from calib.dataset import PatchRef, unseen_patches
from calib.div2k import evaluation_pairs, is_div2k
from calib.errors import UsageError
from calib.graph import form_of
from calib.images import Picture, read_image, to_input, write_image
from calib.images_record import Origin
from calib.npy import write_npy
from calib.output_kind import OutputKind, peak
from calib.photos import PhotoFile
from calib.sample import PackagedPhoto, sample_patches
from calib.tile import Size, Tile
from calib.views import WholeView
from deploy.artifacts.build_folder import Build
from deploy.artifacts.network_record import NetworkRecord
from deploy.build.quantize import QuantizedModel
from deploy.handoff.bundle_manifest import (
    FLOAT_KIND,
    INPUT_KIND,
    GoldenVector,
    golden_path,
    int8_kind,
)
from deploy.handoff.nearest_int8 import operand_models
from deploy.metrics.parity import nearness_db
from deploy.progress import Progress
from deploy.runtime.runner import model_runner
from quant.passes.forms.form import in_form

STEPS = {"float": 2.0**-16, "int8": 2.0**-12}
"""Of what number the stored values of a golden output of a picture are multiples."""

FEWEST = 8
"""Golden vectors that a bundle has at least."""


def golden_pictures(build: Build, images: Path | None, count: int) -> tuple[PatchRef, ...]:
    """Choose the pictures of the golden vectors.

    Args:
        build: whose calibration pictures are left out.
        images: folder to choose from. Where it holds the user's pictures that the build was
            verified on, those are taken, and as many of the embedded sample as are missing. Else
            each picture is resized to the input; of a DIV2K layout the LR files of its evaluation
            pairs. ``None`` takes the embedded sample.
        count: how many.

    Raises:
        UsageError: there are not so many.
        ImageSetError: the folder holds no images.
        ImageError: an image does not decode.
    """
    if count < FEWEST:
        raise UsageError(f"found --count {count}; a bundle has at least {FEWEST} golden vectors")
    size = build.manifest.network.tile.size
    before = build.manifest.verified_on
    own = () if images is None or before is None else before.found_in(images)
    sample = sample_patches("verification", size=size).patches
    pictures = [*own, *sample] if own else _candidates(images, size)
    unseen = pictures
    if build.table is not None:
        unseen = unseen_patches(pictures, build.table.images)
    if len(unseen) < count:
        source = "the embedded sample" if images is None else str(images)
        raise UsageError(
            f"{source} has {len(unseen)} pictures that were not calibrated on, expected {count}; "
            "name a folder with more of them with --images"
        )
    return tuple(unseen[:count])


def _candidates(images: Path | None, size: Size) -> Sequence[PatchRef]:
    if images is None:
        return sample_patches("verification", size=size).patches
    if is_div2k(images):
        return [
            PatchRef.describe(PhotoFile(pair.name, pair.lr), WholeView(), read_image(pair.lr), size)
            for pair in evaluation_pairs(images)
        ]
    return folder_patches(images, mode="whole", count=None, seed=0, size=size).patches


def vector_name(position: int, source: str) -> str:
    """Return the name of a golden vector: short, plain, and in order.

    >>> vector_name(3, "holiday/IMG 0042.jpg")
    '03-img-0042'
    """
    stem = source.split("@", maxsplit=1)[0].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40]
    return f"{position:02d}-{plain or 'picture'}"


def write_golden(  # noqa: PLR0913, PLR0917  # what vectors are made of
    root: Path,
    pictures: Sequence[PatchRef],
    network: NetworkRecord,
    float_model: onnx.ModelProto,
    int8_models: Mapping[str, QuantizedModel],
    progress: Progress,
) -> tuple[GoldenVector, ...]:
    """Compute the golden vectors and write them below ``root``.

    Args:
        root: of the bundle.
        pictures: what to make them of.
        network: what it takes and gives out.
        float_model: the network as its file is written; the vectors are in the form of that.
        int8_models: its int8 models by profile.
        progress: told how far that is.
    """
    form = form_of(float_model)
    float_run = model_runner(float_model, optimized=True)
    int8_runs = {
        profile: model_runner(in_form(entry.model, form), optimized=False)
        for profile, entry in int8_models.items()
    }
    operand_runs = {
        profile: model_runner(model, optimized=False)
        for profile, model in operand_models(int8_models).items()
    }
    vectors = []
    loaded = [patch.load() for patch in pictures]
    with progress.stage("computing golden vectors", len(pictures)) as advance:
        for position, patch in enumerate(pictures):
            name = vector_name(position, patch.photo.name)
            file = root / "golden" / "picture" / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_image(file, loaded[position])
            network_input = golden_input(loaded, position, network.tile)
            write_npy(root / golden_path(INPUT_KIND, name), form.taken(network_input))
            expected = float_run(network_input)
            kept = stored(expected, step("float", expected, network.output))
            write_npy(root / golden_path(FLOAT_KIND, name), form.given(kept))
            outputs = {profile: run(network_input) for profile, run in int8_runs.items()}
            for profile, output in outputs.items():
                rounded = form.given(stored(output, step("int8", expected, network.output)))
                write_npy(root / golden_path(int8_kind(profile), name), rounded)
            operands = outputs | {
                profile: run(network_input) for profile, run in operand_runs.items()
            }
            figures = (_parities(kept, found, network.output) for found in (outputs, operands))
            origin: Origin = "sample" if isinstance(patch.photo, PackagedPhoto) else "folder"
            vectors.append(GoldenVector(name, patch.name, origin, patch.sha256, *figures))
            advance()
    return tuple(vectors)


def golden_input(pictures: Sequence[Picture], position: int, tile: Tile) -> Float32:
    """Return the input of the golden vector at a position, float32 [batch, C, H, W].

    It holds the vector's own picture and, in a batch of several, those of the vectors that follow,
    the first after the last: places hold different pictures, so that a swap of two shows.
    """
    places = [pictures[(position + place) % len(pictures)] for place in range(tile.batch)]
    return np.concatenate([to_input(picture, tile.channels) for picture in places])


def _parities(
    expected: Float32, outputs: Mapping[str, Float32], kind: OutputKind
) -> dict[str, float]:
    """Return the parity of each profile's output with the golden float array, in dB."""
    return {
        profile: round(nearness_db(expected, output, kind), 4)
        for profile, output in outputs.items()
    }


def step(kind: Literal["float", "int8"], expected: Float32, output: OutputKind) -> float:
    """Return of what number the stored values of a golden output are multiples.

    Args:
        kind: of model.
        expected: what the float network gives out.
        output: what that is; of a map the step grows with its size.

    >>> step("float", np.full(4, 6.0, np.float32), "map") == 4 * STEPS["float"]
    True
    """
    return STEPS[kind] * 2.0 ** math.floor(math.log2(peak(expected, output)))


def stored(output: Float32, step: float) -> Float32:
    """Return an output as a golden file keeps it, rounded to multiples of a power of two.

    >>> stored(np.float32([0.3]), 2.0**-4)
    array([0.3125], dtype=float32)
    """
    rounded: Float32 = np.rint(output / np.float32(step)) * np.float32(step)
    return rounded
