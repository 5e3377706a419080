"""The float file and the weights it was made from in, their parity through torch out."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from calib.dataset import PatchRef
from calib.errors import GraphError, UsageError, WeightsError
from calib.graph import GraphIndex
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.diagnosis.weights import weight_faults
from deploy.metrics.parity import THRESHOLDS, ParityResult, measure
from deploy.network.load import Network, load_network
from deploy.progress import Progress
from deploy.verify.compare_models import Evidence

REFERENCE = "torch"
_PICTURES = 1  # torch and onnxruntime agree or not; more pictures say nothing new


def check_float_network(
    build: Build, patches: Sequence[PatchRef], weights: Path | None, progress: Progress
) -> tuple[list[Check], tuple[ParityResult, ...]]:
    """Run the float file beside the original network, if its weights are at hand.

    Returns:
        Whether the weights could be matched, with what is wrong with the float file where that
        has a name, and the parity result if they could.
    """
    float_file = build.manifest.float_artifact.path
    network, check = _original_network(build, weights)
    if network is None:
        return [check], ()
    from deploy.network.torch_modules import torch_runner  # noqa: PLC0415  # torch takes seconds to import

    original = torch_runner(network.architecture, network.checkpoint.tensors)
    try:
        shipped = build.float_runner
    except GraphError as error:
        return [check, Check.of(False, "parity", float_file, str(error))], ()
    pictures = patches[:_PICTURES]
    title = f"{build.manifest.model}: comparing {float_file} with torch"
    evidence = Evidence({float_file: THRESHOLDS["fp32"]})
    with progress.stage(title, len(pictures)) as advance:
        measured = measure(original, {float_file: shipped}, pictures, advance, evidence.observe)
    result = ParityResult(float_file, REFERENCE, THRESHOLDS["fp32"], measured[float_file])
    checks = [check, *evidence.diagnoses.values()]
    if not result.passed:
        checks += _weight_checks(network, build.models[float_file], float_file)
    return checks, (result,)


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


def _original_network(build: Build, weights: Path | None) -> tuple[Network | None, Check]:
    name, artifact = "weights", build.manifest.float_artifact.path
    recorded = build.manifest.weights.sha256
    try:
        network = load_network(build.manifest.model, weights)
    except (UsageError, WeightsError) as error:
        if weights is not None:
            raise
        return None, Check.skipped(name, artifact, f"not compared with torch: {error}")
    checkpoint = network.checkpoint
    if checkpoint.sha256 == recorded:
        return network, Check.of(True, name, artifact, f"sha256 {recorded}")
    detail = f"built from weights {recorded}, found {checkpoint.sha256} ({checkpoint.origin})"
    if weights is not None:
        return None, Check.of(False, name, artifact, detail)
    return None, Check.skipped(
        name, artifact, f"not compared with torch: {detail}; name yours with --weights"
    )
