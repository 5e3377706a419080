"""Every network for every target, at sizes and batches of its own: built, verified, bundled."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from calib.colours import RGB
from calib.errors import UsageError
from calib.table import CalibrationTable
from calib.tile import Tile
from deploy.artifacts.files import TABLE_NAME, plan_file_name
from deploy.artifacts.precision import ModelPrecision
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff import check, golden, make
from deploy.handoff.check import check_bundle
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.own_wheel import write_own_wheel
from deploy.handoff.vendor import Vendor
from deploy.handoff.vendors import find_vendor
from deploy.network.architecture import SRVGG, Architecture, RRDBNet, tensor_shapes
from deploy.pipeline import BuildOutcome, build_model
from deploy.progress import Silent
from quant.plan import QuantOptions, QuantPlan
from quant.targets import PROFILES

NETWORKS: dict[str, Architecture] = {
    "rrdb-x1": RRDBNet(1, 4, 2, unshuffle=4),
    "rrdb-x2": RRDBNet(1, 4, 2, unshuffle=2),
    "rrdb-x4": RRDBNet(1, 4, 2),
    "rrdb-x8": RRDBNet(1, 4, 2, upsamplings=3),
    **{f"srvgg-x{scale}": SRVGG(1, 4, scale) for scale in (1, 2, 3, 4)},
    "srvgg-x2-relu": SRVGG(1, 4, 2, "relu"),
    "srvgg-x2-gray": SRVGG(1, 4, 2, channels=1),
}
RARE: dict[str, Architecture] = {
    "rrdb-x1-plain": RRDBNet(1, 4, 2, upsamplings=0),
    "rrdb-x2-gray": RRDBNet(1, 4, 2, unshuffle=2, channels=1),
    "srvgg-x2-leaky": SRVGG(1, 4, 2, "leaky_relu"),
}
"""Networks that are built in the whole product alone."""
SMALL = (Tile(32, 32), Tile(24, 40), Tile(24, 32, batch=2))
TILES = (Tile(), Tile(96, 160), Tile(batch=2))
FULL_INTEGER = ("ort", "qnn-w8a16")
"""Of the targets that quantize every edge anyway, one: the same plan with the option."""
VENDORS = {
    "ort": "vacc",
    "tensorrt": "tensorrt",
    "tensorrt-10": "ncnn",
    "openvino": "openvino",
    "qnn": "rknn",
    "qnn-w8a16": "qnn",
}
"""Whom a bundle of a target is made for."""


@dataclass(frozen=True)
class Case:
    """A build of the matrix: some targets of a network at one tile.

    Attributes:
        network: its name in ``NETWORKS`` or ``RARE``.
        targets: names of profiles.
        full_integer: every edge quantized.
        tile: the fixed input.
    """

    network: str
    targets: tuple[str, ...]
    full_integer: bool
    tile: Tile

    @property
    def architecture(self) -> Architecture:
        """What the network is."""
        return {**NETWORKS, **RARE}[self.network]

    def __str__(self) -> str:
        what = "full" if self.full_integer else "-".join(self.targets)
        return f"{self.tile.named(self.network)}-{what}"


SHARES = (
    (("ort", "tensorrt"), False),
    (("openvino", "qnn", "tensorrt-10"), False),
    (FULL_INTEGER, True),
)
DEALT = [
    Case(name, targets, full_integer, SMALL[(number + share) % len(SMALL)])
    for number, name in enumerate(NETWORKS)
    for share, (targets, full_integer) in enumerate(SHARES)
]
"""Every network and every target, each of both at every tile."""
PRODUCT = [
    Case(name, targets, full_integer, tile)
    for name in (*NETWORKS, *RARE)
    for targets, full_integer in ((tuple(PROFILES), False), (FULL_INTEGER, True))
    for tile in TILES
]


DRAWING = {"conv_first", "conv_up1", "conv_up2", "conv_up3", "conv_hr", "conv_last"}


def draws_in_range(architecture: Architecture) -> dict[str, np.ndarray]:
    """Return weights around the identity of the colours, so that pictures stay in [0, 1]."""
    generator = np.random.default_rng(7)
    tensors = {}
    for name, shape in tensor_shapes(architecture).items():
        spread = 0.3 / np.sqrt(int(np.prod(shape[1:])) or 1)
        values = generator.normal(0.0, spread, shape).astype(np.float32)
        layer = name.removesuffix(".weight")
        if layer in DRAWING:
            step = shape[1] // architecture.channels if layer == "conv_first" else 1
            for channel in range(architecture.channels):
                values[channel] *= 0.2
                values[channel, step * channel, 1, 1] += 1.0
        tensors[name] = values if name.endswith("weight") else values * np.float32(0.05)
    return tensors


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own wheel, which is the same in every bundle."""
    return write_own_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(autouse=True)
def quick_bundles(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    """Bundles may have one golden vector, as eight say no more, and share a wheel."""
    for module in (golden, check):
        monkeypatch.setattr(module, "FEWEST", 1)
    monkeypatch.setattr(make, "write_own_wheel", lambda root: Path(shutil.copy(wheel, root)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, picture: Path) -> Callable[..., BuildOutcome]:
    """A function from a case to its build: nearest rounding, one picture, one table a network."""
    out = tmp_path_factory.mktemp("matrix")

    tables: dict[str, Path] = {}

    def build(case: Case, precision: ModelPrecision = "int8") -> BuildOutcome:
        architecture = case.architecture
        weights = out / f"{case.network}.safetensors"
        save_file(draws_in_range(architecture), weights)
        request = BuildRequest(
            case.network,
            precision,
            targets=case.targets,
            tile=case.tile,
            weights=weights,
            calibration=CalibrationRequest(count=1, table=tables.get(case.network)),
            quantization=QuantOptions(rounding="nearest", full_integer=case.full_integer),
            activation="leaky_relu" if case.network.endswith("leaky") else None,
            verify_images=picture,
            out=out / str(case),
            report=False,
        )
        outcome = build_model(request, Silent())
        if outcome.manifest.calibration is not None:
            tables.setdefault(case.network, outcome.folder / TABLE_NAME)
        return outcome

    return build


def signatures(outcome: BuildOutcome) -> set[tuple[tuple[int, ...], ...]]:
    found = set()
    for item in outcome.manifest.models():
        graph = onnx.load(outcome.folder / item.path).graph
        ends = (*graph.input, *graph.output)
        found.add(tuple(tuple(d.dim_value for d in e.type.tensor_type.shape.dim) for e in ends))
    return found


def plan_of(outcome: BuildOutcome, target: str) -> QuantPlan:
    name = plan_file_name(outcome.manifest.stem, target)
    return QuantPlan.parse((outcome.folder / name).read_bytes(), name)


def takes(vendor: Vendor, tile: Tile) -> bool:
    """Tell whether a vendor takes builds of a tile; others are refused, which is tested apart."""
    return (vendor.takes_batch or tile.batch == 1) and (vendor.takes_gray or tile.channels == RGB)


def require_built(outcome: BuildOutcome, case: Case, folder: Path) -> None:
    """Make sure that a build is of the case, holds, and is bundled for whom its targets serve."""
    assert [check for check in outcome.verification.checks if check.status == "failed"] == []
    assert outcome.verification.passed
    assert {item.target for item in outcome.manifest.models()} >= set(case.targets)
    tile = replace(case.tile, channels=case.architecture.channels)
    shapes = (tile.shape, tile.output_shape(case.architecture.scale))
    assert signatures(outcome) == {shapes}
    vendors = tuple(
        VENDORS[target] for target in case.targets if takes(find_vendor(VENDORS[target]), tile)
    )
    request = HandoffRequest(outcome.folder, vendors, out=folder / "b.zip", count=tile.batch)
    bundle = make_handoff(request, Silent())
    checked = check_bundle(bundle.path, Silent())
    assert checked.passed, [check for check in checked.checks if check.status == "failed"]


def test_every_network_and_every_target_meets_every_tile() -> None:
    tiles = set(SMALL)
    for name in NETWORKS:
        assert {case.tile for case in DEALT if case.network == name} == tiles
    for target in PROFILES:
        assert {case.tile for case in DEALT if target in case.targets} == tiles
    assert {case.tile for case in DEALT if case.full_integer} == tiles


@pytest.mark.parametrize("case", DEALT, ids=str)
def test_it_builds_and_is_bundled(
    built: Callable[..., BuildOutcome], case: Case, tmp_path: Path
) -> None:
    require_built(built(case), case, tmp_path)


@pytest.mark.product
@pytest.mark.skipif(
    "ESRDEPLOY_WHOLE_PRODUCT" not in os.environ, reason="ESRDEPLOY_WHOLE_PRODUCT is not set"
)
@pytest.mark.parametrize("case", PRODUCT, ids=str)
def test_the_whole_product_builds_and_is_bundled(
    built: Callable[..., BuildOutcome], case: Case, tmp_path: Path
) -> None:
    require_built(built(case), case, tmp_path)


def test_one_table_serves_every_size_and_says_for_which_it_was_taken(
    built: Callable[..., BuildOutcome],
) -> None:
    first, other = (built(Case("rrdb-x2", ("qnn",), False, tile)) for tile in SMALL[1:])
    assert other.verification.passed
    one, two = (CalibrationTable.load(b.folder / TABLE_NAME) for b in (first, other))
    assert one.images.size == two.images.size
    assert other.manifest.calibration == first.manifest.calibration
    one_plan, two_plan = (plan_of(outcome, "qnn") for outcome in (first, other))
    assert (one_plan.edges, one_plan.weights) == (two_plan.edges, two_plan.weights)


def test_vendors_that_make_the_batch_themselves_refuse_one(
    built: Callable[..., BuildOutcome], tmp_path: Path
) -> None:
    outcome = built(Case("srvgg-x4", (), False, SMALL[2]), "fp32")
    request = HandoffRequest(outcome.folder, ("rknn", "qnn"), out=tmp_path / "b.zip")
    with pytest.raises(UsageError, match="rknn take one and make the batch themselves"):
        make_handoff(request, Silent())


@pytest.mark.parametrize(("name", "fitting"), [("rrdb-x2", "26x32"), ("rrdb-x1", "28x32")])
def test_sides_that_the_unshuffle_cannot_divide_are_refused(
    built: Callable[..., BuildOutcome], name: str, fitting: str
) -> None:
    with pytest.raises(UsageError, match=f"choose {fitting}"):
        built(Case(name, (), False, Tile(25, 32)))
