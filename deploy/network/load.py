"""Load a network: by model name from the weights at hand, from a checkpoint, or an ONNX file."""

from importlib.util import find_spec
from pathlib import Path

from calib.errors import (
    DiscriminatorError,
    UnknownArchitectureError,
    UsageError,
    WeightsError,
    named,
)
from calib.extras import install_command
from deploy.artifacts.network_record import ToldActivation
from deploy.network.architecture import SRVGG, Architecture
from deploy.network.discriminator_network import discriminator_network
from deploy.network.known_models import MODELS, find_model
from deploy.network.network import Network, require_plain
from deploy.network.onnx_file.read import read_onnx_file
from deploy.network.onnx_network import OnnxNetwork
from deploy.network.torch_network import TorchNetwork
from deploy.network.weights.checkpoint import (
    Checkpoint,
    is_ncnn_pair,
    load_checkpoint,
    load_model_checkpoint,
)
from deploy.network.weights.identify import identify, require_model


def load_network(
    name: str,
    weights: Path | None,
    onnx_file: Path | None = None,
    activation: ToldActivation | None = None,
) -> Network:
    """Load a model of the table, or the user's own network under a name of their choice.

    Args:
        name: in the model table; any plain name when a file is given.
        weights: the user's checkpoint, or ``None`` for weights at hand.
        onnx_file: the user's network as an ONNX file, in the place of weights.
        activation: what stands behind the convolutions of an SRVGGNetCompact whose weights do not
            say it.

    Raises:
        UsageError: the name is unknown and no weights are given, or is no plain file name; an
            activation is told of a network that says it itself.
        WeightsError: the weights are missing, corrupt, or of another network than the table's.
        GraphError: the ONNX file is none, or no network that can be built.
    """
    if onnx_file is not None:
        require_plain(name, "--name")
        _require_untold(activation, onnx_file.name, "operators")
        return OnnxNetwork(name, None, read_onnx_file(onnx_file))
    if weights is None:
        return _known_network(name, None, activation)
    with named(weights, WeightsError):
        if any(entry.name == name for entry in MODELS):
            return _known_network(name, weights, activation)
        require_plain(name, "--model")
        try:
            checkpoint = load_checkpoint(weights)
            architecture = _identified(checkpoint, activation)
        except DiscriminatorError as refusal:
            discriminator = discriminator_network(name, weights, refusal)
            _require_untold(activation, weights.name, discriminator.description)
            return discriminator
        except UnknownArchitectureError as refusal:
            network = _of_another_architecture(name, weights, refusal)
            _require_untold(activation, weights.name, network.description)
            return network
        return TorchNetwork(name, None, architecture, checkpoint, activation)


def _known_network(
    name: str, weights: Path | None, activation: ToldActivation | None
) -> TorchNetwork:
    """Load a model of the table, from the user's checkpoint or from weights at hand."""
    entry = find_model(name)
    checkpoint = load_model_checkpoint(entry, weights)
    architecture = _identified(checkpoint, activation)
    require_model(architecture, entry)
    return TorchNetwork(name, name, architecture, checkpoint, activation)


def _of_another_architecture(
    name: str, weights: Path, refusal: UnknownArchitectureError
) -> Network:
    """Read weights that fit no architecture of ours with spandrel, where it is installed."""
    if is_ncnn_pair(weights):
        raise refusal
    if find_spec("spandrel") is None:
        raise UnknownArchitectureError(
            f"{refusal}; if they are of another architecture, spandrel may know it: "
            f"{install_command('spandrel')}"
        ) from refusal
    # It imports torch, which takes seconds.
    from deploy.network.spandrel_network import spandrel_network  # noqa: PLC0415  # see above

    return spandrel_network(name, weights, refusal)


def _identified(checkpoint: Checkpoint, told: ToldActivation | None) -> Architecture:
    architecture = identify(checkpoint.tensors, checkpoint.activation or told)
    silent = isinstance(architecture, SRVGG) and architecture.activation != "prelu"
    if checkpoint.activation is not None or not silent:
        _require_untold(told, checkpoint.origin, str(architecture))
    return architecture


def _require_untold(told: ToldActivation | None, origin: str, found: str) -> None:
    if told is not None:
        raise UsageError(
            f"found --activation {told}, but {origin} says itself what its activations are: "
            f"{found}; leave --activation out"
        )
