"""The name of an Inception network in, a function from picture to feature vector out.

Three kinds of network are taken:

    FILE.onnx          a graph of one input [1 or N, 3, H, W]; H and W are 299 where they are free
    FILE.pt, .pth      a TorchScript module, called with [1, 3, 299, 299]
    torch-fidelity     the Inception of the original FID, by the package of that name (extra
                       ``fid``); its weights (91 MB) are downloaded by that package when first used

A network given as a file gets the picture resized by area (`calib.images.resize_area`), RGB, as
float32 in [0, 1], or uint8 if an ONNX input is uint8; whatever else it wants must stand in its
own graph. Its first output, flattened, is the feature vector.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from calib.digest import sha256_bytes
from calib.errors import GraphError, UsageError
from calib.images import Picture, resize_area, to_input
from calib.runtime import Session

PACKAGE = "torch-fidelity"
INCEPTION_PX = 299

Vector = npt.NDArray[np.float64]


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
    features: Callable[[Picture], Vector]


def feature_network(source: str) -> FeatureNetwork:
    """Load the network that ``source`` names.

    Raises:
        UsageError: there is no such file, or the package is not installed or lacks its weights.
        GraphError: the file is no network of one picture.
    """
    if source == PACKAGE:
        from deploy.torch_features import packaged_network  # noqa: PLC0415  # torch: seconds

        return packaged_network()
    path = Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"--fid {source}: {error.strerror or error}; give an Inception network as .onnx or "
            f"TorchScript file, or {PACKAGE!r} for the one of the extra 'esrdeploy[fid]'"
        ) from error
    if path.suffix.lower() == ".onnx":
        run = onnx_features(content, path.name)
    else:
        from deploy.torch_features import script_features  # noqa: PLC0415

        run = script_features(path)
    return FeatureNetwork(path.name, sha256_bytes(content), run)


def onnx_features(content: bytes, name: str) -> Callable[[Picture], Vector]:
    """Return an ONNX network as a function from picture to features.

    Args:
        content: the file.
        name: what to call it in an error.

    Raises:
        GraphError: it does not load or does not take one picture.
    """
    try:
        graph = onnx.load_model_from_string(content).graph
    except DecodeError as error:
        raise GraphError(f"{name} is no ONNX model ({error})") from error
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

    def features(picture: Picture) -> Vector:
        network_input: npt.NDArray[Any] = to_input(resize_area(picture, height, width))
        if as_codes:
            network_input = np.rint(network_input * 255).astype(np.uint8)
        output = session.run({inputs[0].name: network_input})[session.outputs[0]]
        return np.asarray(output, np.float64).reshape(-1)

    return features
