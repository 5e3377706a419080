"""Read the tensors of a ``.pth`` file; the one reader that needs torch.

The file is opened with ``weights_only=True``: a checkpoint is a pickle, and a pickle can run
code.
"""

import io
import itertools
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial

import torch

from calib.arrays import AnyArray
from calib.errors import WeightsError
from calib.zips import BROKEN_ZIP_IN_MEMORY
from deploy.network.weights.file_kinds import is_torchscript
from deploy.network.weights.saved_tensors import OtherValue, Saved, SavedTensor

_DEEPEST = 6  # levels of mappings that are looked into
_MOST_ENTRIES = 20_000  # a few mappings that hold one another stand for more than memory can
_SAVE = "save the network alone: torch.save(model.state_dict(), FILE)"


def read_torch_file(content: bytes, source: str) -> dict[str, Saved]:
    """Read a checkpoint as ``torch.save`` writes it.

    Args:
        content: the whole file.
        source: file name for messages.

    Returns:
        Everything in it by the path of its keys, in the order of the file.

    Raises:
        WeightsError: the file is corrupt, needs code to be loaded, or is no mapping of names.
    """
    saved = _load(content, source)
    damaged = _damaged_entry(content)
    if damaged is not None:
        raise WeightsError(
            f"{source} is damaged: the checksum of {damaged} in it does not hold; fetch the file "
            "again"
        )
    if isinstance(saved, torch.Tensor):
        raise WeightsError(f"{source} holds one tensor without a name; {_SAVE}")
    if isinstance(saved, list | tuple):
        kinds = ", ".join(sorted({type(value).__name__ for value in saved}))
        raise WeightsError(
            f"{source} holds a {type(saved).__name__} ({len(saved)} values of type {kinds}), not "
            f"named tensors; in the program that wrote it, {_SAVE}"
        )
    if not isinstance(saved, Mapping):
        raise WeightsError(f"{source} holds a value of type {type(saved).__name__}; {_SAVE}")
    entries = dict(itertools.islice(_flattened(saved, "", _DEEPEST), _MOST_ENTRIES + 1))
    if len(entries) > _MOST_ENTRIES:
        raise WeightsError(f"{source} names more than {_MOST_ENTRIES} entries; {_SAVE}")
    for name, entry in entries.items():
        if isinstance(entry, SavedTensor):
            _require_stored(entry, len(content), f"{source}: tensor {name!r}")
    return entries


def _require_stored(tensor: SavedTensor, size_bytes: int, where: str) -> None:
    """Refuse a tensor that a stride of 0 makes larger than the file that it is read from."""
    values = math.prod(tensor.shape)
    if values > size_bytes:
        raise WeightsError(
            f"{where} has shape {list(tensor.shape)}, {values} values, in a file of {size_bytes} "
            f"bytes; expected its values to be stored: {_SAVE}"
        )


def _flattened(
    saved: Mapping[object, object], path: str, depth: int
) -> Iterator[tuple[str, Saved]]:
    for key, value in saved.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and value and depth:
            yield from _flattened(value, f"{name}.", depth - 1)
        elif isinstance(value, torch.Tensor) and _has_values(value):
            kind = str(value.dtype)
            yield (
                name,
                SavedTensor(
                    tuple(value.shape), kind, value.is_floating_point(), partial(_array, value)
                ),
            )
        else:
            yield name, OtherValue(type(value).__name__)


def _has_values(tensor: torch.Tensor) -> bool:
    """Tell whether the tensor is one of plain numbers: not sparse, quantized or on no device."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized
    return dense and tensor.device.type == "cpu"


def _array(tensor: torch.Tensor) -> AnyArray:
    kept = tensor.detach()
    if kept.is_floating_point():
        kept = kept.to(torch.float32)
    array: AnyArray = kept.contiguous().numpy()
    return array


def _load(content: bytes, source: str) -> object:
    if _is_torchscript(content):
        raise WeightsError(
            f"{source} is a TorchScript program, not a state dict; in the program that wrote it, "
            f"{_SAVE}"
        )
    try:
        with warnings.catch_warnings():
            # Damaged files make torch's unpickler warn about what it then refuses.
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = _asked_for(content, str(error))
        if not asked:
            raise WeightsError(
                f"{source} is no plain PyTorch checkpoint: it is damaged or asks for code to be "
                "run; expected a file of tensors only"
            ) from error
        raise WeightsError(
            f"{source} holds {_kind(asked)} ({', '.join(asked[:3])}) and asks for code to be run, "
            f"which is never done; in the program that wrote it, {_SAVE}"
        ) from error
    except Exception as error:  # what a damaged pickle raises depends on the byte that is wrong
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{source} cannot be read as a PyTorch checkpoint: {reason}") from error


def _is_torchscript(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except BROKEN_ZIP_IN_MEMORY:
        return False
    return is_torchscript(names)


def _damaged_entry(content: bytes) -> str | None:
    """Return the name of an entry of a zip whose checksum does not hold: torch does not look."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip()
    except BROKEN_ZIP_IN_MEMORY:
        return None  # an older form, which has none


def _asked_for(content: bytes, message: str) -> list[str]:
    """Return the names of the functions and classes that the file wants called."""
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    except Exception:  # noqa: BLE001  # the file is of an older form, or damaged as well
        unsafe = re.findall(r"GLOBAL ([\w.]+)", message)
    return sorted(set(unsafe))


def _kind(asked: list[str]) -> str:
    if all(name.startswith("numpy.") for name in asked):
        return "numpy values beside its tensors"
    if any(re.match(r"torch\.nn\.modules\b|__main__\b", name) for name in asked):
        return "a whole module, not its state dict"
    return "objects beside its tensors"
