"""Find the files of builds and the pairs of photographs that an evaluation asks for.

A model that is not built is refused, and so is an int8 model that was calibrated on a picture
to be scored: its score would flatter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx

from calib.digest import sha256_bytes
from calib.div2k import Pair, evaluation_pairs
from calib.errors import UsageError, VerificationError
from calib.images import read_image, resize_area
from calib.meant import meant
from calib.table import CalibrationTable
from calib.tile import Tile
from deploy.artifacts.check import check_digest
from deploy.artifacts.files import MANIFEST_NAME, TABLE_NAME, Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.artifacts.onnx_files import read_model
from deploy.artifacts.precision import ModelPrecision
from deploy.evaluate.protocols import Shape
from deploy.network.known_models import MODELS
from deploy.runtime.runner import Runner
from quant.passes.rebatch import with_batch

_USUAL_SCALE = 4


@dataclass(frozen=True, kw_only=True)
class FileChoice:
    """Which files of which builds.

    Attributes:
        builds: folder of builds, such as ``dist``.
        models: names of builds in it, or their paths; empty for all there are.
        precisions: which files of a build; empty for all.
        targets: which int8 files; empty for all.
    """

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

    data: Path
    shape: Shape = "fixed"
    whole: bool = False
    count: int | None = None


@dataclass(frozen=True)
class BuiltModel:
    """One file of a build that is to be scored.

    Attributes:
        folder: of the build.
        manifest: that names it.
        artifact: the file.
    """

    folder: Path
    manifest: Manifest
    artifact: Artifact

    def read(self) -> onnx.ModelProto:
        """Return what the file computes, for one picture at a time: so none is drawn twice.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        item, path = self.artifact, self.folder / self.artifact.path
        named = check_digest(self.folder, item.path, item.sha256, item.size_bytes)
        if named.status != "passed":
            raise VerificationError(
                f"{path} is not the file that the manifest names; run 'esrdeploy verify "
                f"{self.folder}'"
            )
        return with_batch(read_model(path), 1)

    def runner(self) -> Runner:
        """Return what the file draws, run as it is judged.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        return judged_runner(self.read(), self.artifact.precision)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return self.manifest.network.scale

    @property
    def tile(self) -> Tile:
        """The fixed input of the file."""
        return self.manifest.network.tile


def find_built_models(request: FileChoice) -> list[BuiltModel]:
    """List the files that are asked for, in order of model and precision.

    Where no model is named, builds of networks that enlarge no pictures are passed over.

    Raises:
        UsageError: a model is not built, or not in a precision or for a target asked for, or
            enlarges no pictures.
    """
    names = request.models or tuple(
        sorted(path.parent.name for path in request.builds.glob(f"*/{MANIFEST_NAME}"))
    )
    if not names:
        raise UsageError(
            f"found no build in {request.builds}; run 'esrdeploy build --model NAME' first, or "
            "name the folder with --builds"
        )
    folders = dict.fromkeys(_build_folder(name, request) for name in names)
    found = [item for folder in folders for item in _files_of(folder, request)]
    if not found:
        raise UsageError(f"found no build of a network that enlarges pictures in {request.builds}")
    return found


def _build_folder(name: str, request: FileChoice) -> Path:
    """Return the folder of a build that is named as it is called in its place, or by its path.

    Raises:
        UsageError: there is none.
    """
    for folder in (request.builds / name, Path(name)):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    built = sorted(path.parent.name for path in request.builds.glob(f"*/{MANIFEST_NAME}"))
    build = f"run '{_command(name, request)}' first"
    if name not in {entry.name for entry in MODELS}:
        build = "'esrdeploy build --weights FILE --name NAME' makes one"
    raise UsageError(
        f"found no build of {name} in {request.builds}, but {', '.join(built) or 'none'}; "
        f"{build}, or name the folder with --builds{meant(name, built)}"
    )


def _command(name: str, request: FileChoice) -> str:
    lowest = request.precisions[-1] if request.precisions else "int8"
    return f"esrdeploy build --model {name} --precision {lowest}"


def _files_of(folder: Path, request: FileChoice) -> Iterator[BuiltModel]:
    name = folder.name
    manifest = read_manifest(folder / MANIFEST_NAME)
    if manifest.network.output != "picture" and not request.models:
        return
    manifest.network.require_picture("eval")
    models = manifest.models()
    for precision in request.precisions:
        if precision not in {item.precision for item in models}:
            raise UsageError(
                f"the build of {name} holds no {precision} model; run '{_command(name, request)}' "
                "first"
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
