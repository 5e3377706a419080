"""Hold the float file against its original: the weights in torch, or the ONNX file given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import onnx

from calib.errors import UsageError, WeightsError
from calib.extras import missing_library
from calib.graph import GraphIndex
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.weights_record import WeightsRecord
from deploy.diagnosis.weights import weight_faults
from deploy.metrics.parity import ParityResult
from deploy.metrics.thresholds import threshold_of
from deploy.network.load import load_network
from deploy.network.network import Network
from deploy.progress import Progress
from deploy.runtime.outputs import Outputs
from deploy.verify.compare_models import compare_outputs, diagnose_outputs

ORIGINAL_NAMES: Mapping[str, str] = {
    "torch": "the original weights in torch",
    "onnx": "the ONNX file it was built from",
}
"""What the float model is compared with, for people."""

_PICTURES = 1  # the two agree or not; more pictures say nothing new


@dataclass(frozen=True, eq=False)
class Original:
    """The network that a build was made from.

    Attributes:
        network: the network; ``None`` where what it was made from is not at hand.
        check: whether that is what the manifest records.
        drawn: what it and the float file draw of the same pictures, where they were run.
    """

    network: Network | None
    check: Check
    drawn: Outputs = field(default_factory=Outputs)


def check_float_network(
    build: Build, original: Original, outputs: Outputs, progress: Progress
) -> tuple[list[Check], ParityResult] | None:
    """Compare what the float file draws with what its original draws.

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
        both = _drawn(network, outputs.first(_PICTURES), float_file, progress)
    if not both.images:
        return None
    kind = build.manifest.network.output
    threshold, reference = threshold_of("fp32", kind), network.original_kind
    compared = compare_outputs(both, reference, float_file, kind)
    result = ParityResult(float_file, reference, threshold, tuple(compared))
    if result.passed:
        return [], result
    named = diagnose_outputs(both, compared, reference, float_file, threshold, kind)
    return [*named.values(), *_weight_checks(network, build.models[float_file], float_file)], result


def _drawn(network: Network, shown: Outputs, float_file: str, progress: Progress) -> Outputs:
    """Return what the original draws of some pictures, beside what the float file draws."""
    if not shown.images:
        return shown
    name = ORIGINAL_NAMES[network.original_kind]
    with progress.stage(
        f"{network.name}: comparing {float_file} with {name}", len(shown.images)
    ) as advance:
        run = network.runner()
        drawn = []
        for network_input in shown.inputs:
            drawn.append(run(network_input))
            advance()
    by_file = {network.original_kind: tuple(drawn), float_file: shown.by_file[float_file]}
    return Outputs(shown.images, shown.inputs, by_file)


def _weight_checks(network: Network, model: onnx.ModelProto, float_file: str) -> list[Check]:
    """Name what was done to the weights of a float file that is not the network."""
    index = GraphIndex(model)
    found = {
        node.input[1]: weight
        for node in index.nodes
        if node.op_type == "Conv" and (weight := index.constant(node.input[1])) is not None
    }
    faults = weight_faults(network.parameters, found)
    return [Check.of(False, "weights", float_file, "; ".join(faults[:3]))] if faults else []


def find_original(build: Build, weights: Path | None, onnx_file: Path | None) -> Original:
    """Load the network that a build was made from, if it is at hand.

    Args:
        build: says which file it was made from.
        weights: the checkpoint; ``None`` looks for the one that comes with the installation.
        onnx_file: the ONNX file, of a build that was made from one.

    Raises:
        InputError: the file named cannot be used.
    """
    record = build.manifest
    if record.weights.onnx is not None:
        if onnx_file is None:
            return _not_at_hand(build, "it was built from an ONNX file")
        return held_original(build, load_network(record.model, None, onnx_file))
    try:
        known = record.network.known_as or record.model
        network = load_network(known, weights, activation=record.network.activation)
    except (UsageError, WeightsError) as error:
        if weights is not None:
            raise
        own = record.network.known_as is None
        return _not_at_hand(build, "a network of one's own" if own else str(error))
    found = held_original(build, network)
    if weights is not None:
        return found
    if found.network is not None:
        return found if find_spec("torch") is not None else _without_torch(build)
    return _not_at_hand(build, found.check.detail)


def _not_at_hand(build: Build, reason: str) -> Original:
    """Say which file a build was made from, for whoever has it to find it."""
    weights = build.manifest.weights
    files = ", ".join(f"{name} (sha256 {digest})" for name, digest in weights.files.items())
    detail = f"not compared with torch: {reason}; name the weights it was built from with --weights"
    if weights.onnx is not None:
        detail = f"not compared with the file given: {reason}; name that with --onnx"
    path = build.manifest.float_artifact.path
    return Original(None, Check.skipped(_asked(weights), path, f"{detail}: {files}"))


def _without_torch(build: Build) -> Original:
    """Say that nothing here computes the original weights."""
    path = build.manifest.float_artifact.path
    detail = f"not compared with torch: {missing_library('torch')}"
    return Original(None, Check.skipped(_asked(build.manifest.weights), path, detail))


def _asked(weights: WeightsRecord) -> str:
    """Return what the check is called that a build was made from some file."""
    return "weights" if weights.onnx is None else "ONNX file"


def held_original(build: Build, network: Network) -> Original:
    """Say whether a network is the one that a build was made from."""
    artifact = build.manifest.float_artifact.path
    recorded, found = build.manifest.weights, network.made_from
    asked = _asked(recorded)
    if found.sha256 == recorded.sha256:
        named, description = build.manifest.network.architecture, network.description
        detail = f"sha256 {recorded.sha256}"
        if named != description:
            detail += f" of {description}, the manifest records {named}"
        same = named == description and recorded.onnx == found.onnx
        if recorded.onnx != found.onnx:
            detail += f"; its ends are {found.onnx}, the manifest records {recorded.onnx}"
        return Original(network, Check.of(same, asked, artifact, detail))
    detail = f"built from {asked} {recorded.sha256}, found {found.sha256} ({found.origin})"
    return Original(None, Check.of(False, asked, artifact, detail))
