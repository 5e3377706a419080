"""Write the weights of a network of one block, for tools that make many builds."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from deploy.network.architecture import RRDBNet, tensor_shapes

_PLAIN = ("conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last")
_NOISE, _BIAS = 0.5, 0.05  # activations then have the sizes of those of a trained network


def write_small_network(path: Path) -> Path:
    """Write an RRDBNet of one block as ``.safetensors``, and return the path.

    It draws roughly the enlarged picture: small noise around the identity in the convolutions
    outside the block, the same in every call.
    """
    generator = np.random.default_rng(7)
    tensors = {}
    for name, shape in tensor_shapes(RRDBNet(blocks=1, features=8, growth=4)).items():
        fan_in = int(np.prod(shape[1:])) or 1
        values = generator.normal(0.0, _NOISE / np.sqrt(fan_in), shape).astype(np.float32)
        if name in {f"{conv}.weight" for conv in _PLAIN}:
            for channel in range(3):
                values[channel, :3] *= 0.1
                values[channel, channel, 1, 1] += 1.0
        tensors[name] = values if name.endswith("weight") else values * np.float32(_BIAS)
    save_file(tensors, path)
    return path
