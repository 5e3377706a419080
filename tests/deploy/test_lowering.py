"""Every lowering on every architecture it applies to: the same network, built and handed over."""

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from calib.arrays import Float32
from calib.errors import UsageError
from calib.graph import GraphIndex, network_digest
from calib.tile import Tile
from deploy.artifacts.manifest import read_manifest
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff.check import check_bundle
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.network.architecture import SRVGG, Architecture, RRDBNet
from deploy.network.export import ExportedModel, export_float
from deploy.pipeline import build_model
from deploy.progress import Silent
from quant.passes.lowering.catalogue import LOWERINGS, lower_graph, parse_lowerings
from quant.passes.rebatch import with_batch
from quant.plan import QuantOptions
from tests.deploy.builds import run
from tests.deploy.test_every_network import draws_in_range

NETWORKS: dict[str, Architecture] = {
    **{f"rrdb-x{2**count}": RRDBNet(1, 6, 3, upsamplings=count) for count in range(4)},
    **{f"rrdb-unshuffle-{factor}": RRDBNet(1, 6, 3, unshuffle=factor) for factor in (2, 4)},
    **{f"srvgg-x{scale}": SRVGG(1, 6, scale) for scale in (2, 3, 4)},
    "srvgg-relu": SRVGG(1, 6, 2, "relu"),
    "srvgg-leaky": SRVGG(1, 6, 2, "leaky_relu"),
}
RESIZED = ("rrdb-unshuffle-2", "srvgg-x3")
TILE, OTHER = Tile(16, 24), Tile(24, 16)
GONE = {
    "resize-to-phases": "Resize",
    "resize-to-convtranspose": "Resize",
    "depthtospace-to-transpose": "DepthToSpace",
    "depthtospace-to-convtranspose": "DepthToSpace",
    "spacetodepth-to-conv": "Transpose",
    "prelu-to-relu": "PRelu",
    "leakyrelu-to-max": "LeakyRelu",
}
BACK = "resize-to-phases,phases-to-resize"
FOR_QNN = "resize-to-phases,depthtospace-to-transpose,spacetodepth-to-conv,prelu-to-relu,"
FOR_QNN += "leakyrelu-to-max"
FOR_FLOAT = "resize-to-convtranspose,depthtospace-to-convtranspose,clip-output"


def places(architecture: Architecture, name: str) -> int:
    """Return how many places of an architecture a lowering has to change."""
    if name == "clip-output":
        return 1
    convolutions = list(architecture.convolutions())
    activations = Counter(item.activation for item in convolutions)
    if name == "prelu-to-relu":
        return activations["prelu"]
    if name == "leakyrelu-to-max":
        return activations["leaky_relu"]
    if isinstance(architecture, SRVGG):
        return int(name.startswith("depthtospace"))
    if name == "spacetodepth-to-conv":
        return int(architecture.unshuffle > 1)
    return architecture.upsamplings if name.startswith("resize") else 0


@cache
def exported(name: str, tile: Tile) -> ExportedModel:
    picture: Float32 = np.random.default_rng(1).random((1, 3, *tile.sides), np.float32)
    return export_float(NETWORKS[name], draws_in_range(NETWORKS[name]), [picture])


@pytest.mark.parametrize("lowering", [name for name in LOWERINGS if name != "phases-to-resize"])
@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_the_same_network_at_any_size_and_batch(network: str, lowering: str) -> None:
    float_model = exported(network, TILE)
    found = lower_graph(float_model.model, [lowering], float_model.probes)
    changed = places(NETWORKS[network], lowering)
    assert found.counts == {lowering: changed}
    assert [proof.equivalence.psnr_db >= 120.0 for proof in found.proofs] == [True] * bool(changed)
    if changed and lowering in GONE and not (lowering.startswith("resize") and "srvgg" in network):
        assert GONE[lowering] not in {node.op_type for node in found.model.graph.node}
    if network in RESIZED:
        other = exported(network, OTHER)
        again = lower_graph(other.model, [lowering], other.probes)
        assert network_digest(again.model) == network_digest(found.model)
    assert GraphIndex(with_batch(found.model, 2)).network_digest == network_digest(found.model)


@pytest.mark.parametrize("network", [name for name in NETWORKS if name.startswith("rrdb")])
def test_phases_become_the_enlargement_that_they_were(network: str) -> None:
    float_model = exported(network, TILE)
    found = lower_graph(float_model.model, BACK.split(","), float_model.probes)
    assert found.counts["phases-to-resize"] == places(NETWORKS[network], "resize-to-phases")
    before, after = (
        [node.op_type for node in model.graph.node] for model in (float_model.model, found.model)
    )
    assert before == after


def request(network: str, lower: str, out: Path, *targets: str) -> BuildRequest:
    weights = out / f"{network}.safetensors"
    save_file(draws_in_range(NETWORKS[network]), weights)
    return BuildRequest(
        network,
        targets=targets,
        tile=TILE,
        weights=weights,
        calibration=CalibrationRequest(count=4),
        quantization=QuantOptions(rounding="nearest"),
        out=out,
        report=False,
        lowering=parse_lowerings([lower]),
    )


@pytest.mark.parametrize(
    ("network", "lower", "targets", "vendors"),
    [
        ("rrdb-unshuffle-2", FOR_QNN, ("qnn", "qnn-w8a16", "ort"), ("qnn", "vacc")),
        ("srvgg-x2", FOR_QNN, ("qnn", "tensorrt"), ("qnn", "tensorrt")),
        ("rrdb-x4", FOR_FLOAT, ("openvino",), ("openvino", "rknn")),
        ("srvgg-x3", FOR_FLOAT, ("ort",), ("vacc",)),
    ],
    ids=["unshuffle", "prelu", "float", "shuffle"],
)
def test_it_is_built_verified_and_handed_over(
    network: str, lower: str, targets: tuple[str, ...], vendors: tuple[str, ...], tmp_path: Path
) -> None:
    outcome = build_model(request(network, lower, tmp_path, *targets), Silent())
    assert [item for item in outcome.verification.checks if item.status == "failed"] == []
    assert outcome.verification.passed
    assert read_manifest(outcome.folder / "manifest.json").options.lowering == parse_lowerings(
        [lower]
    )
    models = [onnx.load(outcome.folder / item.path) for item in outcome.manifest.models()]
    assert len(models) == 2 + len(targets)
    lacking = {GONE[name] for name in lower.split(",") if name in GONE}
    if network.startswith("srvgg"):
        lacking.discard("Resize")  # no convolution reads the enlarged picture
    lacking -= {"Transpose"} if "depthtospace-to-transpose" in lower else set()
    for model in models:
        assert lacking.isdisjoint({node.op_type for node in model.graph.node})
    bundle = make_handoff(
        HandoffRequest(outcome.folder, vendors, out=tmp_path / "bundle.zip"), Silent()
    )
    checked = check_bundle(bundle.path, Silent())
    assert checked.passed, [item for item in checked.checks if item.status == "failed"]
    with pytest.raises(UsageError, match="files of ncnn are written of the network's own"):
        make_handoff(HandoffRequest(outcome.folder, ("ncnn",), out=tmp_path / "n.zip"), Silent())
    as_it_comes = replace(request(network, lower, tmp_path, "ort"), lowering=())
    with pytest.raises(UsageError, match=r"it was built with --lower .*, asked for is nothing"):
        build_model(as_it_comes, Silent())


def test_what_a_target_cannot_have_is_refused_before_anything_heavy(tiny_weights: Path) -> None:
    arguments = ["build", "--weights", tiny_weights, "--target", "qnn", "--lower"]
    result = run(*arguments, "resize-to-convtranspose")
    assert result.exit_code == 2
    assert "target qnn quantizes every one; leave one of them out" in result.stderr
    result = run(*arguments, "resize-to-nothing")
    assert result.exit_code == 2
    assert "found --lower 'resize-to-nothing'; choose among resize-to-phases" in result.stderr
