"""Find an Inception network by its name or file.

Three kinds of network are taken:

    FILE.onnx          a graph of one input [1 or N, 3, H, W]; H and W are 299 where they are free
    FILE.pt, .pth      a TorchScript module, called with [1, 3, 299, 299]
    torch-fidelity     the Inception of the original FID, by the package of that name (extra
                       ``fid``); its weights (91 MB) are downloaded by that package when first used

deploy/evaluate/fid/inception_onnx.py says what a network given as a file is called with.
"""

from pathlib import Path

from calib.digest import sha256_bytes
from calib.errors import UsageError
from calib.extras import install_command
from calib.files import read_whole
from deploy.evaluate.fid.inception_onnx import PACKAGE, FeatureNetwork, onnx_features


def feature_network(source: str) -> FeatureNetwork:
    """Load the network that ``source`` names.

    Raises:
        UsageError: there is no such file, or the package is not installed or lacks its weights.
        GraphError: the file is no network of one picture.
    """
    if source == PACKAGE:
        from deploy.evaluate.fid.inception_torch import packaged_network  # noqa: PLC0415  # torch: seconds

        return packaged_network()
    path = Path(source)
    try:
        content = read_whole(path)
    except OSError as error:
        raise UsageError(
            f"--fid {source}: {error.strerror or error}; give an Inception network as .onnx or "
            f"TorchScript file, or {PACKAGE!r} for the one of that package; "
            f"{install_command('fid')}"
        ) from error
    if path.suffix.lower() == ".onnx":
        run = onnx_features(content, path.name)
    else:
        from deploy.evaluate.fid.inception_torch import script_features  # noqa: PLC0415

        run = script_features(path)
    return FeatureNetwork(path.name, sha256_bytes(content), run)
