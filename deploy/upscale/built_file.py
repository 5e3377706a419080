"""Find the file of a build that enlarges pictures here, and the runtime that runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from calib.errors import UsageError, VerificationError
from deploy.artifacts.check import check_digest
from deploy.artifacts.files import MANIFEST_NAME, Artifact
from deploy.artifacts.manifest import Manifest, build_folders, read_manifest
from deploy.artifacts.onnx_files import read_model
from deploy.artifacts.precision import ModelPrecision
from deploy.runtime.backends import BACKENDS, BackendName, is_installed, require_backends
from quant.passes.forms.form import in_usual_form
from quant.passes.rebatch import with_batch

_TARGETS: dict[BackendName, tuple[str, ...]] = {"ort": ("ort",), "openvino": ("openvino", "ort")}
"""int8 files that a runtime computes in integers, the one made for it first."""

_PREFERRED: tuple[ModelPrecision, ...] = ("int8", "fp32", "fp16")  # a CPU computes fp16 as float32


@dataclass(frozen=True)
class BuiltFile:
    """A file of a build and the runtime that runs it.

    Attributes:
        folder: of the build.
        manifest: that names it.
        artifact: the file.
        backend: the runtime.
        instead: why it is not the int8 file that would be taken; empty where it is as asked for.
    """

    folder: Path
    manifest: Manifest
    artifact: Artifact
    backend: BackendName
    instead: str = ""

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return self.manifest.network.scale

    def require_named(self) -> None:
        """Make sure that the file is the one that the manifest names.

        Raises:
            VerificationError: it is not.
        """
        item = self.artifact
        check = check_digest(self.folder, item.path, item.sha256, item.size_bytes)
        if check.status != "passed":
            raise VerificationError(
                f"{self.folder / item.path} is not the file that the manifest names; run "
                f"'esrdeploy verify {self.folder}'"
            )

    def model(self) -> onnx.ModelProto:
        """Read the file, for one picture at a time and in the usual form of pictures.

        What it draws is the same in any form; tiles and 16-bit pictures are made for the usual one.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        self.require_named()
        return in_usual_form(with_batch(read_model(self.folder / self.artifact.path), 1))


def find_file(
    builds: Path,
    model: str | None = None,
    precision: ModelPrecision | None = None,
    backend: BackendName | None = None,
) -> BuiltFile:
    """Return the file that is asked for.

    Args:
        builds: folder of builds, or a build itself.
        model: name of a build in it; ``None``: the only one there is.
        precision: of the file; ``None``: int8 where the build has one for a runtime here.
        backend: the runtime; ``None``: the one that the int8 file is made for, OpenVINO before
            onnxruntime where both are installed.

    Raises:
        UsageError: there is no such build, none of its files is what is asked for, or its network
            enlarges no picture.
    """
    folder, manifest = build_of(builds, model)
    manifest.network.require_picture("upscale")
    if backend is not None:
        require_backends((backend,))
    names = (backend,) if backend else tuple(filter(is_installed, reversed(BACKENDS)))
    wanted = (precision,) if precision else _PREFERRED
    for artifact, name in runnable_files(manifest, wanted, names):
        instead = "" if precision else _instead_of_int8(folder, manifest, artifact, names)
        return BuiltFile(folder, manifest, artifact, name, instead)
    built = ", ".join(item.path for item in manifest.models())
    raise UsageError(
        f"{folder} holds no {precision or 'model'} for {' or '.join(names)}, but {built}; build "
        f"again with --target {names[-1]}, or choose another --precision or --backend"
    )


def _instead_of_int8(
    folder: Path, manifest: Manifest, taken: Artifact, backends: tuple[BackendName, ...]
) -> str:
    """Say that no int8 file of a build runs in integers here; nothing where one is taken."""
    if taken.precision == "int8":
        return ""
    built = [item.path for item in manifest.models() if item.precision == "int8"]
    verb = "is" if len(built) == 1 else "are"
    found = f"{', '.join(built)} {verb} for other runtimes" if built else "there is none"
    return (
        f"enlarging with {taken.path}: no int8 file of {folder} runs in {' or '.join(backends)} "
        f"({found}); int8 takes a build with --target {backends[-1]}; --precision "
        f"{taken.precision} asks for this one"
    )


def runnable_files(
    manifest: Manifest, precisions: tuple[ModelPrecision, ...], backends: tuple[BackendName, ...]
) -> Iterator[tuple[Artifact, BackendName]]:
    """Yield what can be run, the best first: of a precision, a file in the runtime it is made for.

    A file for onnxruntime took 1.2 times as long in OpenVINO (x4plus, AVX2).
    """
    for precision in precisions:
        files = [item for item in manifest.models() if item.precision == precision]
        found = [
            (rank, item, name)
            for name in backends
            for rank, target in enumerate(_TARGETS[name] if precision == "int8" else (None,))
            for item in files
            if item.target == target
        ]
        yield from ((item, name) for _, item, name in sorted(found, key=lambda entry: entry[0]))


def build_of(builds: Path, model: str | None = None) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of the build that is asked for.

    Raises:
        UsageError: there is no such build, or there are several and none is named.
        VerificationError: its manifest is broken.
    """
    folder = _build_folder(builds, model)
    return folder, read_manifest(folder / MANIFEST_NAME)


def _build_folder(builds: Path, model: str | None) -> Path:
    folders = build_folders(builds) if builds.is_dir() else []
    named = [folder for folder in folders if model in (None, folder.name)]
    if len(named) == 1:
        return named[0]
    if model is not None and (Path(model) / MANIFEST_NAME).is_file():
        return Path(model)
    names = ", ".join(folder.name for folder in folders)
    if named:
        raise UsageError(f"found several builds in {builds}: {names}; choose one with --model")
    if folders:
        raise UsageError(f"found no build of {model} in {builds}, but {names}")
    named_model = "" if model is None else f" --model {model}"
    raise UsageError(
        f"found no build in {builds}; name the folder of your builds with --builds, or run "
        f"'esrdeploy build{named_model}' first"
    )
