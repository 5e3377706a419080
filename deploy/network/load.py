"""Load a network: by model name from the weights at hand, from a checkpoint, or an ONNX file."""

from pathlib import Path

from calib.errors import WeightsError, named
from deploy.network.known_models import MODELS, find_model
from deploy.network.network import Network, require_plain
from deploy.network.onnx_file.read import read_onnx_file
from deploy.network.onnx_network import OnnxNetwork
from deploy.network.torch_network import TorchNetwork
from deploy.network.weights.checkpoint import load_checkpoint, load_model_checkpoint
from deploy.network.weights.identify import identify, require_model


def load_network(name: str, weights: Path | None, onnx_file: Path | None = None) -> Network:
    """Load a model of the table, or the user's own network under a name of their choice.

    Args:
        name: in the model table; any plain name when a file is given.
        weights: the user's checkpoint, or ``None`` for weights at hand.
        onnx_file: the user's network as an ONNX file, in the place of weights.

    Raises:
        UsageError: the name is unknown and no weights are given, or is no plain file name.
        WeightsError: the weights are missing, corrupt, or of another network than the table's.
        GraphError: the ONNX file is none, or no network that can be built.
    """
    if onnx_file is not None:
        require_plain(name, "--name")
        return OnnxNetwork(name, None, read_onnx_file(onnx_file))
    if weights is None:
        return _known_network(name, None)
    with named(weights, WeightsError):
        if any(entry.name == name for entry in MODELS):
            return _known_network(name, weights)
        require_plain(name, "--model")
        checkpoint = load_checkpoint(weights)
        architecture = identify(checkpoint.tensors, checkpoint.activation)
        return TorchNetwork(name, None, architecture, checkpoint)


def _known_network(name: str, weights: Path | None) -> TorchNetwork:
    """Load a model of the table, from the user's checkpoint or from weights at hand."""
    entry = find_model(name)
    checkpoint = load_model_checkpoint(entry, weights)
    architecture = identify(checkpoint.tensors, checkpoint.activation)
    require_model(architecture, entry)
    return TorchNetwork(name, name, architecture, checkpoint)
