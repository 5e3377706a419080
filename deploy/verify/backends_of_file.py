"""Say which runtimes of this machine a file is run in, and why it is run in none."""

from collections.abc import Sequence

from calib.extras import install_command
from deploy.artifacts.files import Artifact
from deploy.artifacts.judged_runner import judged_by_reference
from deploy.runtime.backends import BACKENDS, BackendName, is_installed


def runtime_of(item: Artifact) -> BackendName | None:
    """Return the runtime that a file is made for, where it is installed here.

    A float file is onnxruntime's. One for TensorRT or QNN has none here: what another runtime
    makes of it says nothing about them.
    """
    if item.precision != "int8":
        return "ort"
    made_for = (name for name in BACKENDS if name == item.target and is_installed(name))
    return next(made_for, None)


def absence(item: Artifact) -> str:
    """Return why a file has no runtime here; only for one that has none."""
    for name in BACKENDS:
        if name == item.target:
            return f"{name} is not installed; {install_command(name)}"
    return f"no runtime of {item.target} here; esrdeploy handoff packs it for one that has it"


def backends_of(item: Artifact, asked: Sequence[BackendName] | None) -> tuple[BackendName, ...]:
    """Return the runtimes to run a file in beside its reference.

    Args:
        item: the file.
        asked: what the user wants for every file; ``None``: each in the runtime it is made for,
            where that is installed.
    """
    own = runtime_of(item)
    names = ([] if own is None else [own]) if asked is None else asked
    return tuple(name for name in names if not (name == "ort" and _judged_there(item)))


def why_not_run(item: Artifact, asked: Sequence[BackendName] | None) -> str | None:
    """Return why no backend runs a file; ``None`` where one does, or none was to."""
    if backends_of(item, asked) or (asked is not None and not asked):
        return None
    if _judged_there(item):
        return "the verdict is of what onnxruntime makes of it"
    return absence(item)


def _judged_there(item: Artifact) -> bool:
    """Whether the verdict itself rests on what onnxruntime executes, as of float and fp16 files."""
    return not judged_by_reference(item.precision)
