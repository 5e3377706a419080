"""Name the model of a build that names none: by the digest of its weights, or by their file."""

import re
from pathlib import Path

from calib.digest import sha256_file
from calib.errors import UsageError
from deploy.network.known_models import MODELS, find_model, model_name, released_as
from deploy.progress import Progress

_NAMELESS = "network"


def named_model(
    model: str | None,
    weights: Path | None,
    progress: Progress,
    onnx_file: Path | None = None,
    own_name: str | None = None,
) -> str:
    """Return the name that files of a build begin with.

    Args:
        model: what was asked for; an official name stands for the name here.
        weights: the user's checkpoint, if there is one.
        progress: told whose weights a file holds.
        onnx_file: the user's ONNX file, if there is one.
        own_name: what the user calls the build; then its file names the network alone.

    Raises:
        UsageError: there is none of them; the name is unknown and there are no weights; an ONNX
            file stands beside another, or is given as weights; or the file's name holds no
            character that a name may have.
    """
    if weights is not None and weights.suffix == ".onnx":
        raise UsageError(f"{weights.name} is an ONNX file: give it with --onnx")
    if onnx_file is not None:
        beside = [f"--{word}" for word, given in (("model", model), ("weights", weights)) if given]
        if beside:
            raise UsageError(
                f"found --onnx beside {' and '.join(beside)}; give one network (--name names it)"
            )
        return _named_after(onnx_file, own_name)
    if model is not None:
        known = model_name(model)
        return known if weights is not None else find_model(known).name
    if weights is None:
        known_names = ", ".join(entry.name for entry in MODELS)
        raise UsageError(
            "found neither --model nor --weights; name one of "
            f"{known_names} with --model, or a checkpoint of your own with --weights, or an ONNX "
            "file with --onnx"
        )
    tensors = weights.with_suffix(".bin") if weights.suffix == ".param" else weights
    released = released_as(sha256_file(tensors)) if tensors.is_file() else None
    if released is not None:
        progress.note(f"{weights.name} holds the weights of {released}")
        return released
    return _named_after(weights, own_name)


def _named_after(path: Path, own_name: str | None) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")
    if own_name is not None:
        return name or _NAMELESS
    if not name:
        raise UsageError(f"{path.name} gives no name for files; name the network with --name")
    return name
