"""Read the tensors of a ``.safetensors`` file."""

from functools import partial

import numpy as np
from safetensors import SafetensorError, deserialize

from calib.arrays import AnyArray, Float32
from calib.errors import WeightsError
from deploy.network.weights.saved_tensors import Saved, SavedTensor

_BFLOAT16 = "BF16"
_NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_INTEGERS = {
    f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)
}
_OTHERS = {**_INTEGERS, "BOOL": "?"}


def read_safetensors(content: bytes, source: str) -> dict[str, Saved]:
    """Read every tensor of the file.

    Args:
        content: the whole file.
        source: file name for messages.

    Returns:
        The tensors by key; those of float16, bfloat16, float32 and float64 are floating. To read
        one of a type that numpy lacks raises WeightsError.

    Raises:
        WeightsError: the file is corrupt, or holds 8-bit floating point.
    """
    try:
        stored = deserialize(content)  # type: ignore[no-untyped-call]  # no types are shipped
    except SafetensorError as error:
        raise WeightsError(f"{source} cannot be read as safetensors: {error}") from error
    tensors: dict[str, Saved] = {}
    for name, entry in stored:
        dtype, shape = str(entry["dtype"]), tuple(entry["shape"])
        floating = dtype in _NUMPY or dtype == _BFLOAT16
        if dtype.startswith("F") and not floating:
            raise WeightsError(
                f"{source}: tensor {name!r} is {dtype}; expected F16, BF16, F32 or F64"
            )
        read = partial(_array, bytes(entry["data"]), dtype, shape, f"{source}: tensor {name!r}")
        tensors[name] = SavedTensor(shape, dtype, floating, read)
    return tensors


def _array(stored: bytes, dtype: str, shape: tuple[int, ...], named: str) -> AnyArray:
    if dtype in _OTHERS:
        return np.frombuffer(stored, _OTHERS[dtype]).reshape(shape)
    if dtype == _BFLOAT16:  # the upper half of a float32
        upper = np.frombuffer(stored, "<u2").astype(np.uint32) << np.uint32(16)
        widened: Float32 = upper.view(np.float32).reshape(shape)
        return widened
    if dtype not in _NUMPY:
        raise WeightsError(f"{named} is {dtype}; expected floats, integers or truth values")
    values: Float32 = np.frombuffer(stored, _NUMPY[dtype]).astype(np.float32).reshape(shape)
    return values
