"""Read the state dict of a ``.pth`` file as float32; the one reader that needs torch.

The file is opened with ``weights_only=True``: a checkpoint is a pickle, and a pickle can run
code.
"""

import io
import pickle
import warnings
from collections.abc import Mapping

import torch

from calib.arrays import Float32
from calib.errors import WeightsError

_NESTED = ("params_ema", "params")  # the moving average is what was released, so it comes first


def read_torch_file(content: bytes, source: str) -> dict[str, Float32]:
    """Read a checkpoint as BasicSR or ``torch.save`` writes it.

    Args:
        content: the whole file; its state dict may lie under ``params_ema``, ``params`` or bare.
        source: file name for messages.

    Returns:
        float32 arrays by state dict key, in the order of the file.

    Raises:
        WeightsError: the file is corrupt, needs code to be loaded, or holds something other
            than floating-point tensors.
    """
    saved = _state_dict(_load(content, source), source)
    return {str(name): _array(name, value, source) for name, value in saved.items()}


def _load(content: bytes, source: str) -> object:
    try:
        with warnings.catch_warnings():
            # Damaged files make torch's unpickler warn about what it then refuses.
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{source} is no plain PyTorch checkpoint: it is damaged or asks for code to be run; "
            "expected a file of tensors only"
        ) from error
    except Exception as error:  # what a damaged pickle raises depends on the byte that is wrong
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{source} cannot be read as a PyTorch checkpoint: {reason}") from error


def _state_dict(content: object, source: str) -> Mapping[object, object]:
    if isinstance(content, Mapping):
        nested = (content[key] for key in _NESTED if isinstance(content.get(key), Mapping))
        content = next(nested, content)
    if not isinstance(content, Mapping) or not content:
        found = "an empty state dict" if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(
            f"{source} holds {found}; expected a state dict, bare or under {' or '.join(_NESTED)}"
        )
    return content


def _array(name: object, value: object, source: str) -> Float32:
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise WeightsError(
            f"{source}: entry {name!r} is a {type(value).__name__}; expected named tensors only"
        )
    if not value.is_floating_point():
        raise WeightsError(f"{source}: tensor {name!r} is {value.dtype}; expected floating point")
    array: Float32 = value.detach().to(torch.float32).contiguous().numpy()
    return array
