"""Compute feature vectors of pictures with an Inception network given as an ONNX graph.

A network given as a file gets the picture resized by area (`calib.images.resize_area`), RGB, as
float32 in [0, 1], or uint8 if an ONNX input is uint8; whatever else it wants must stand in its
own graph. Its first output, flattened, is the feature vector.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import AnyArray, Float64
from calib.colours import RGB
from calib.errors import GraphError
from calib.images import Picture, resize_area, to_input
from calib.runtime import Session
from deploy.artifacts.onnx_files import load_model

PACKAGE = "torch-fidelity"
INCEPTION_PX = 299


@dataclass(frozen=True)
class FeatureNetwork:
    """A network whose features FID is taken over.

    Attributes:
        name: file name, or name and version of the package.
        sha256: of the file; ``None`` for the package's own weights.
        features: maps a picture, uint8 [H, W, 3], to float64 [D].
    """

    name: str
    sha256: str | None
    features: Callable[[Picture], Float64]


def onnx_features(content: bytes, name: str) -> Callable[[Picture], Float64]:
    """Return an ONNX network as a function from picture to features.

    Args:
        content: the file.
        name: what to call it in an error.

    Raises:
        GraphError: it does not load or does not take one picture.
    """
    graph = load_model(content, name).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in given]
    dims = list(inputs[0].type.tensor_type.shape.dim) if len(inputs) == 1 else []
    if len(dims) != 4 or dims[1].dim_value not in {0, 3} or dims[0].dim_value not in {0, 1}:
        raise GraphError(
            f"{name} takes {len(inputs)} inputs or another shape; expected one picture "
            "[1, 3, H, W] in RGB"
        )
    height, width = (dim.dim_value or INCEPTION_PX for dim in dims[2:])
    as_codes = inputs[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    session = Session(content, optimized=True)

    def features(picture: Picture) -> Float64:
        network_input: AnyArray = to_input(resize_area(picture, height, width), RGB)
        if as_codes:
            network_input = np.rint(network_input * 255).astype(np.uint8)
        output = session.run({inputs[0].name: network_input})[session.outputs[0]]
        return np.asarray(output, np.float64).reshape(-1)

    return features
