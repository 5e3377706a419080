"""Say what becomes of the build that a folder holds when another is made there.

A build of the same weights and calibration gets what the new request adds: targets that it does
not name are kept. Any other is refused before anything is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx

from calib.dataset import PatchSet
from calib.digest import sha256_bytes
from calib.errors import UsageError, VerificationError
from calib.table import CalibrationTable
from calib.words import counted
from deploy.artifacts.build_folder import check_files
from deploy.artifacts.build_options import BuildOptions, TargetOptions
from deploy.artifacts.files import (
    MANIFEST_NAME,
    PARITY_NAME,
    TABLE_ARRAYS_NAME,
    TABLE_NAME,
    Artifact,
    build_files,
    model_file_name,
    plan_file_name,
    sensitivity_file_name,
    serialize,
)
from deploy.artifacts.manifest import CalibrationRecord, Manifest, read_manifest
from deploy.artifacts.precision import PRECISIONS
from deploy.build.request import BuildRequest
from deploy.network.network import Network


@dataclass(frozen=True)
class Earlier:
    """The build that a new one adds to, if any.

    Attributes:
        request: what is built now.
        manifest: of the build in the folder; ``None`` where there is none, or it is replaced.
    """

    request: BuildRequest
    manifest: Manifest | None = None

    @property
    def calibration(self) -> CalibrationRecord | None:
        """Its calibration table."""
        return None if self.manifest is None else self.manifest.calibration

    @property
    def targets(self) -> tuple[str, ...]:
        """Its targets."""
        return () if self.manifest is None else tuple(self.manifest.options.targets)

    @property
    def kept(self) -> tuple[Artifact, ...]:
        """Its files that the request does not make again."""
        if self.manifest is None:
            return ()
        again = {PARITY_NAME, *_made(self.request), *map(self._costs, self.request.targets)}
        return tuple(item for item in self.manifest.artifacts if item.path not in again)

    @property
    def notes(self) -> tuple[str, ...]:
        """What becomes of int8 files that are asked for and there already, one line each."""
        if not self.request.builds("int8"):
            return ()
        again = [name for name in self.request.targets if name in self.targets]
        return tuple(
            f"{self.request.folder} has an int8 file for {name} already: it is made again with "
            "this command's options and replaced; name only targets that are new to keep it"
            for name in again
        )

    @property
    def fp16_keep(self) -> tuple[str, ...]:
        """Nodes of the fp16 model that are asked to compute in float32, now or then."""
        if self.request.fp16_keep or self.manifest is None:
            return self.request.fp16_keep
        return self.manifest.options.fp16_keep

    def options(self, targets: Mapping[str, TargetOptions]) -> BuildOptions:
        """Return every choice that shapes the artifacts, those of kept ones included.

        Args:
            targets: how the int8 model of each was made.
        """
        now = self.request.choices(targets)
        if self.manifest is None:
            return now
        before = self.manifest.options
        return BuildOptions(
            max(now.precision, before.precision, key=PRECISIONS.index),
            {**before.targets, **now.targets},
            self.fp16_keep,
            now.lowering,
        )

    def _costs(self, target: str) -> str:
        return sensitivity_file_name(self.request.stem, target)

    def require_float_model(self, written: onnx.ModelProto) -> None:
        """Refuse to keep models beside a float model that they were not made from.

        Args:
            written: the float model as it is to be written.

        Raises:
            UsageError: the float model came out other than it was.
        """
        if self.manifest is None or not self.kept:
            return
        found, before = sha256_bytes(serialize(written)), self.manifest.float_artifact.sha256
        if found != before:
            raise _refused(
                self.request,
                f"its float model has sha256 {before}, the same weights now give {found} with "
                "other versions of the libraries",
            )

    def require_table(self, table: CalibrationTable) -> None:
        """Refuse to keep models beside a table that they were not made from.

        Raises:
            UsageError: the table is another one.
        """
        if self.calibration is None or not self.kept:
            return
        if table.digest != self.calibration.digest:
            raise _refused(
                self.request,
                f"its calibration table is {self.calibration.digest}, the same pictures now give "
                f"{table.digest}",
            )


def find_earlier(
    request: BuildRequest, network: Network, source: PatchSet | CalibrationTable | None
) -> Earlier:
    """Return the build that a request adds to.

    Args:
        request: what is asked for.
        network: what it builds.
        source: what it calibrates on; ``None`` where it does not.

    Raises:
        UsageError: the folder holds a build, or files of one, that nothing can be added to.
    """
    path = request.folder / MANIFEST_NAME
    if request.replace or not request.folder.is_dir():
        return Earlier(request)
    manifest: Manifest | None = None
    if path.exists():
        try:
            manifest = read_manifest(path)
        except VerificationError as error:
            raise _refused(request, f"that cannot be read: {error}") from error
    earlier = Earlier(request, manifest)
    for problem in _conflicts(earlier, network, source):
        raise _refused(request, problem)
    return earlier


def _conflicts(
    earlier: Earlier, network: Network, source: PatchSet | CalibrationTable | None
) -> Iterator[str]:
    """Say why nothing can be added to what the folder holds."""
    request, manifest = earlier.request, earlier.manifest
    made = _made(request)
    strange = {*build_files(request.folder)} - made
    if manifest is None:
        strange = {name for name in strange if not _of_network(name, request.stem)}
    else:
        strange -= {item.path for item in manifest.artifacts}
    if strange:
        yield f"no manifest names {', '.join(sorted(strange))}"
    if manifest is None:
        return
    if request.tile != manifest.network.tile:
        was, asked = manifest.network.tile.shape, request.tile.shape
        yield f"its input is {list(was)}, asked for is {list(asked)}"
    yield from _other_graph(request, manifest)
    yield from _other_network(manifest, network)
    calibration = earlier.calibration
    if calibration is not None and source is not None:
        yield from _other_calibration(calibration, source)
    for check in check_files(request.folder, replace(manifest, artifacts=earlier.kept)):
        if check.status != "passed":
            yield f"{check.artifact}: {check.detail}"


def _other_graph(request: BuildRequest, manifest: Manifest) -> Iterator[str]:
    """Say where its files are written otherwise than a request asks for."""
    if request.form != manifest.network.form:
        yield f"its files take pictures as {manifest.network.form}, asked for is {request.form}"
    if request.lowering != manifest.options.lowering:
        lowered = manifest.options.lowering, request.lowering
        old, new = (", ".join(names) or "nothing" for names in lowered)
        yield f"it was built with --lower {old}, asked for is {new}"


def _other_network(before: Manifest, network: Network) -> Iterator[str]:
    found, recorded = network.made_from.sha256, before.weights.sha256
    if found != recorded:
        yield f"it was built from weights {recorded} ({before.weights.origin}), these are {found}"
    elif network.description != before.network.architecture:
        yield f"it is of {before.network.architecture}, asked for is {network.description}"


def _other_calibration(
    before: CalibrationRecord, source: PatchSet | CalibrationTable
) -> Iterator[str]:
    if isinstance(source, CalibrationTable):
        same = source.digest == before.digest
        now = f"the table {source.digest}"
    else:
        same = source.digest == before.images.digest
        now = f"{counted(len(source), 'image')} of digest {source.digest}"
    if not same:
        yield (
            f"it was calibrated on {counted(before.images.count, 'image')} of digest "
            f"{before.images.digest} (table {before.digest}), asked for is {now}"
        )


def _made(request: BuildRequest) -> set[str]:
    """Return the names of the files that a request writes in any case."""
    name = request.stem
    names = {PARITY_NAME, model_file_name(name, "fp32")}
    if request.builds("fp16"):
        names |= {model_file_name(name, "fp16"), TABLE_NAME, TABLE_ARRAYS_NAME}
    if request.builds("int8"):
        names |= {model_file_name(name, "int8", target) for target in request.targets}
        names |= {plan_file_name(name, target) for target in request.targets}
    return names


def _of_network(name: str, network: str) -> bool:
    """Tell whether an interrupted build of a network may have left a file of that name."""
    return name in {PARITY_NAME, TABLE_NAME, TABLE_ARRAYS_NAME} or any(
        name.startswith(f"{network}-{precision}") for precision in ("fp32.", "fp16.", "int8-")
    )


def _refused(request: BuildRequest, problem: str) -> UsageError:
    return UsageError(
        f"{request.folder} holds a build that this one cannot be added to: {problem}; build in its "
        "place with --replace, or beside it with --name NAME"
    )
