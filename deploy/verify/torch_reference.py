"""Hold the float file against the network that torch builds from the original weights."""

from dataclasses import dataclass, field
from pathlib import Path

import onnx

from calib.errors import UsageError, WeightsError
from calib.graph import GraphIndex
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.diagnosis.weights import weight_faults
from deploy.metrics.parity import THRESHOLDS, ParityResult
from deploy.network.load import Network, load_network
from deploy.progress import Progress
from deploy.runtime.outputs import Outputs
from deploy.verify.compare_models import compare_outputs, diagnose_outputs

REFERENCE = "torch"
_PICTURES = 1  # torch and onnxruntime agree or not; more pictures say nothing new


@dataclass(frozen=True, eq=False)
class Original:
    """The network that a build was made from.

    Attributes:
        network: the network; ``None`` where its weights are not at hand.
        check: whether the weights are those that the manifest records.
        drawn: what torch and the float file draw of the same pictures, where they were run.
    """

    network: Network | None
    check: Check
    drawn: Outputs = field(default_factory=Outputs)


def check_float_network(
    build: Build, original: Original, outputs: Outputs, progress: Progress
) -> tuple[list[Check], ParityResult] | None:
    """Compare what the float file draws with what torch draws with the original weights.

    Args:
        build: whose float file it is.
        original: the network it was built from.
        outputs: what the float file draws, among others.
        progress: told what is going on.

    Returns:
        What is wrong with the float file where that has a name, and its parity; ``None`` where
        there is nothing to compare with.
    """
    network = original.network
    float_file = build.manifest.float_artifact.path
    if network is None:
        return None
    both = original.drawn
    if not both.images:
        both = _drawn_by_torch(network, outputs.first(_PICTURES), float_file, progress)
    if not both.images:
        return None
    threshold = THRESHOLDS["fp32"]
    compared = compare_outputs(both, REFERENCE, float_file)
    result = ParityResult(float_file, REFERENCE, threshold, tuple(compared))
    if result.passed:
        return [], result
    named = diagnose_outputs(both, compared, REFERENCE, float_file, threshold)
    return [*named.values(), *_weight_checks(network, build.models[float_file], float_file)], result


def _drawn_by_torch(
    network: Network, shown: Outputs, float_file: str, progress: Progress
) -> Outputs:
    """Return what torch draws of some pictures, beside what the float file draws."""
    from deploy.network.torch_modules import torch_runner  # noqa: PLC0415  # takes seconds

    if not shown.images:
        return shown
    title = f"{network.name}: comparing {float_file} with torch"
    with progress.stage(title, len(shown.images)) as advance:
        run = torch_runner(network.architecture, network.checkpoint.tensors)
        drawn = []
        for network_input in shown.inputs:
            drawn.append(run(network_input))
            advance()
    by_file = {REFERENCE: tuple(drawn), float_file: shown.by_file[float_file]}
    return Outputs(shown.images, shown.inputs, by_file)


def _weight_checks(network: Network, model: onnx.ModelProto, float_file: str) -> list[Check]:
    """Name what was done to the weights of a float file that is not the network."""
    index = GraphIndex(model)
    found = {
        node.input[1]: weight
        for node in index.nodes
        if node.op_type == "Conv" and (weight := index.constant(node.input[1])) is not None
    }
    faults = weight_faults(network.checkpoint.tensors, found)
    return [Check.of(False, "weights", float_file, "; ".join(faults[:3]))] if faults else []


def find_original(build: Build, weights: Path | None) -> Original:
    """Load the network that a build was made from, if its weights are at hand.

    Args:
        build: says which weights it was made from.
        weights: the checkpoint; ``None`` looks for the one that comes with the installation.

    Raises:
        UsageError, WeightsError: ``weights`` cannot be used.
    """
    try:
        network = load_network(build.manifest.network.known_as or build.manifest.model, weights)
    except (UsageError, WeightsError) as error:
        if weights is not None:
            raise
        own = build.manifest.network.known_as is None
        return _not_at_hand(build, "a network of one's own" if own else str(error))
    found = held_original(build, network)
    if found.network is not None or weights is not None:
        return found
    return _not_at_hand(build, found.check.detail)


def _not_at_hand(build: Build, reason: str) -> Original:
    """Say which checkpoint a build was made from, for whoever has it to find it."""
    weights = build.manifest.weights
    files = ", ".join(f"{name} (sha256 {digest})" for name, digest in weights.files.items())
    detail = (
        f"not compared with torch: {reason}; name the weights it was built from with --weights: "
        f"{files}"
    )
    return Original(None, Check.skipped("weights", build.manifest.float_artifact.path, detail))


def held_original(build: Build, network: Network) -> Original:
    """Say whether a network is the one that a build was made from."""
    artifact = build.manifest.float_artifact.path
    recorded, checkpoint = build.manifest.weights.sha256, network.checkpoint
    if checkpoint.sha256 == recorded:
        named, architecture = build.manifest.network.architecture, str(network.architecture)
        detail = f"sha256 {recorded}"
        if named != architecture:
            detail += f" of {architecture}, the manifest records {named}"
        return Original(network, Check.of(named == architecture, "weights", artifact, detail))
    detail = f"built from weights {recorded}, found {checkpoint.sha256} ({checkpoint.origin})"
    return Original(None, Check.of(False, "weights", artifact, detail))
