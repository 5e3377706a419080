"""Read the state dict of a ``.safetensors`` file as float32."""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from calib.arrays import Float32
from calib.errors import WeightsError


def read_safetensors(content: bytes, source: str) -> dict[str, Float32]:
    """Read every tensor of the file.

    Args:
        content: the whole file.
        source: file name for messages.

    Returns:
        float32 arrays by state dict key.

    Raises:
        WeightsError: the file is corrupt, or holds something other than floating-point tensors
            of a type that numpy has (float16, float32, float64).
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsError(f"{source} cannot be read as safetensors: {error}") from error
    except KeyError as error:
        raise WeightsError(
            f"{source} holds tensors of type {error}; expected float16, float32 or float64"
        ) from error
    if not tensors:
        raise WeightsError(f"{source} holds no tensors; expected a state dict")
    for name, tensor in tensors.items():
        if not np.issubdtype(tensor.dtype, np.floating):
            raise WeightsError(
                f"{source}: tensor {name!r} is {tensor.dtype}; expected floating point"
            )
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
