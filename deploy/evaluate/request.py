"""Choose the files of builds and the pairs of photographs that an evaluation asks for.

A model that is not built is refused, and so is an int8 model that was calibrated on a picture
to be scored: its score would flatter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from calib.digest import sha256_bytes
from calib.div2k import Pair, evaluation_pairs
from calib.errors import UsageError
from calib.images import read_image, resize_area
from calib.table import CalibrationTable
from deploy.artifacts.built_model import BuiltModel
from deploy.artifacts.files import TABLE_NAME
from deploy.artifacts.find_build import find_several
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.precision import ModelPrecision
from deploy.evaluate.protocols import Shape
from deploy.network.known_models import how_to_build

_USUAL_SCALE = 4


@dataclass(frozen=True, kw_only=True)
class FileChoice:
    """Which files of which builds.

    Attributes:
        command: that asks, as a refusal names it.
        builds: folder of builds, such as ``dist``.
        models: names of builds at or below it, or their paths; empty for all there are.
        precisions: which files of a build; empty for all.
        targets: which int8 files; empty for all.
    """

    command: ClassVar[str]
    builds: Path = Path("dist")
    models: tuple[str, ...] = ()
    precisions: tuple[ModelPrecision, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoringRequest(FileChoice):
    """What to score, and how.

    Attributes:
        data: folder in DIV2K's layout.
        shape: ``fixed`` or ``source``.
        whole: at the true size, run the network at that size and not in tiles.
        count: how many pairs, the first by name; ``None`` for all.
    """

    command: ClassVar[str] = "eval"
    data: Path
    shape: Shape = "fixed"
    whole: bool = False
    count: int | None = None


def find_built_models(request: FileChoice) -> list[BuiltModel]:
    """List the files that are asked for, in order of model and precision.

    Where no model is named, builds of networks that enlarge no pictures are passed over.

    Raises:
        UsageError: a model is not built, or not in a precision or for a target asked for, or
            enlarges no pictures.
    """
    lowest = request.precisions[-1] if request.precisions else None
    builds = find_several(request.builds, request.models, partial(how_to_build, precision=lowest))
    found = [item for build in builds.items() for item in _files_of(*build, request)]
    if not found:
        raise UsageError(f"found no build of a network that enlarges pictures in {request.builds}")
    return found


def _files_of(folder: Path, manifest: Manifest, request: FileChoice) -> Iterator[BuiltModel]:
    name = folder.name
    if manifest.network.output != "picture" and not request.models:
        return
    manifest.network.require_picture(request.command)
    models = manifest.models()
    for precision in request.precisions:
        if precision not in {item.precision for item in models}:
            raise UsageError(
                f"the build of {name} holds no {precision} model; add --precision {precision} to "
                "the build"
            )
    for target in request.targets:
        if target not in {item.target for item in models}:
            raise UsageError(
                f"the build of {name} holds no int8 model for {target}; add --target {target} to "
                "the build"
            )
    for item in models:
        wanted = not request.precisions or item.precision in request.precisions
        if wanted and (
            item.target is None or not request.targets or item.target in request.targets
        ):
            yield BuiltModel(folder, manifest, item)


def chosen_pairs(request: ScoringRequest, scale: int) -> tuple[Pair, ...]:
    """List the pairs that networks of one scale are scored on, by name.

    Raises:
        ImageSetError: the folder holds no pair.
    """
    # At a fixed size every LR picture is resized to the input anyway: the vendor's are the X4 ones.
    folder_scale = _USUAL_SCALE if request.shape == "fixed" else scale
    return evaluation_pairs(request.data, folder_scale)[: request.count]


def require_held_out(item: BuiltModel, pairs: Sequence[Pair]) -> None:
    """Make sure that an int8 model was calibrated on none of the pictures.

    Whole pictures are known by their pixels, crops and degraded photographs by the name of their
    file.

    Raises:
        UsageError: it was.
    """
    if item.artifact.precision != "int8" or not (item.folder / TABLE_NAME).is_file():
        return
    images = CalibrationTable.load(item.folder / TABLE_NAME).images
    digests = {entry.sha256 for entry in images.patches}
    by_name = images.mode != "whole" or images.degradation is not None
    files = {
        PurePosixPath(entry.name.partition("@")[0]).name
        for entry in images.patches
        if images.origin == "folder" and by_name
    }
    for pair in pairs:
        whole = resize_area(read_image(pair.lr), *images.size.sides)
        if sha256_bytes(whole.tobytes()) in digests or files & {pair.lr.name, pair.hr.name}:
            raise UsageError(
                f"{item.artifact.path} was calibrated on {pair.lr.name}, which it would be scored "
                "on; calibrate on other images: in DIV2K's layout 'build --calib' leaves out "
                "what has an HR partner"
            )
