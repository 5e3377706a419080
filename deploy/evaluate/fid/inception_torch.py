"""Compute Inception features with torch, from a TorchScript file or an installed package.

torch stands here because a user's Inception network may be TorchScript, and the extra ``fid`` is
a torch package.
"""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch

from calib.arrays import Float64
from calib.colours import RGB
from calib.errors import GraphError, UsageError
from calib.extras import install_command
from calib.images import Picture, resize_area, to_input
from deploy.evaluate.fid.inception_onnx import INCEPTION_PX, PACKAGE, FeatureNetwork

_FEATURES = "2048"  # the pooled features that the original FID takes


def script_features(path: Path) -> Callable[[Picture], Float64]:
    """Return a TorchScript module as a function from picture to features.

    Raises:
        GraphError: the file is no TorchScript module.
    """
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated since torch 2.9; that is the file's choice, not ours.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(
            f"{path} is no TorchScript module ({reason}); save one with torch.jit.save"
        ) from error

    def features(picture: Picture) -> Float64:
        resized = resize_area(picture, INCEPTION_PX, INCEPTION_PX)
        with torch.no_grad():
            output = module(torch.from_numpy(to_input(resized, RGB)))
        first = output if isinstance(output, torch.Tensor) else output[0]
        return first.numpy().astype(np.float64).reshape(-1)

    return features


def packaged_network() -> FeatureNetwork:
    """Return the Inception network of the package torch-fidelity.

    Raises:
        UsageError: it is not installed, or its weights cannot be downloaded.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # noqa: PLC0415  # an extra
            FeatureExtractorInceptionV3,
        )
    except ImportError as error:
        raise UsageError(
            f"--fid {PACKAGE} needs that package, which is not installed; run: "
            f"{install_command('fid')}"
        ) from error
    try:
        extractor = FeatureExtractorInceptionV3("inception", [_FEATURES])
    except (URLError, OSError) as error:
        raise UsageError(
            f"--fid {PACKAGE}: the package downloads its Inception weights (91 MB) when first "
            f"used, and that failed: {error}; try again with network access, or give a network of "
            "your own as .onnx or TorchScript file"
        ) from error

    def features(picture: Picture) -> Float64:
        pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis]))
        with torch.no_grad():
            (output,) = extractor(pixels)
        return np.asarray(output.numpy(), np.float64).reshape(-1)

    return FeatureNetwork(f"{PACKAGE} {version(PACKAGE)}", None, features)
