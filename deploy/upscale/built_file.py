"""Find the file of a build that enlarges pictures here, and the runtime that runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from calib.errors import UsageError
from deploy.artifacts.built_model import BuiltModel
from deploy.artifacts.files import Artifact
from deploy.artifacts.find_build import find_build
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.precision import ModelPrecision
from deploy.network.known_models import how_to_build
from deploy.runtime.backends import BACKENDS, BackendName, is_installed, require_backends
from quant.passes.forms.form import in_usual_form

_TARGETS: dict[BackendName, tuple[str, ...]] = {"ort": ("ort",), "openvino": ("openvino", "ort")}
"""int8 files that a runtime computes in integers, the one made for it first."""

_PREFERRED: tuple[ModelPrecision, ...] = ("int8", "fp32", "fp16")  # a CPU computes fp16 as float32


@dataclass(frozen=True)
class BuiltFile(BuiltModel):
    """A file of a build and the runtime that runs it.

    Attributes:
        backend: the runtime.
        instead: why it is not the int8 file that would be taken; empty where it is as asked for.
    """

    backend: BackendName
    instead: str = ""

    def model(self) -> onnx.ModelProto:
        """Read the file, for one picture at a time and in the usual form of pictures.

        What it draws is the same in any form; tiles and 16-bit pictures are made for the usual one.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        return in_usual_form(self.read())


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
    folder, manifest = find_build(builds, model, how_to_build)
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
