"""Every network for every target, at sizes and batches of its own: built, verified, bundled."""

from collections.abc import Callable
from itertools import starmap
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from calib.errors import UsageError
from calib.table import CalibrationTable
from calib.tile import Tile
from deploy.artifacts.files import TABLE_NAME, plan_file_name
from deploy.artifacts.precision import ModelPrecision
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff.check import check_bundle
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.network.architecture import SRVGG, Architecture, RRDBNet, tensor_shapes
from deploy.pipeline import BuildOutcome, build_model
from deploy.progress import Silent
from quant.plan import QuantOptions, QuantPlan
from quant.targets import PROFILES

NETWORKS: dict[str, Architecture] = {
    "rrdb-x4": RRDBNet(1, 8, 4),
    "rrdb-x2": RRDBNet(1, 8, 4, unshuffle=2),
    "rrdb-x1": RRDBNet(1, 8, 4, unshuffle=4),
    **{f"srvgg-x{scale}": SRVGG(1, 8, scale) for scale in (1, 2, 3, 4)},
}
TILES = (Tile(32, 32), Tile(24, 40), Tile(24, 32, batch=2))
CASES = [(name, TILES[number % len(TILES)]) for number, name in enumerate(NETWORKS)]


def draws_in_range(architecture: Architecture) -> dict[str, np.ndarray]:
    """Return weights around the identity of the colours, so that pictures stay in [0, 1]."""
    generator = np.random.default_rng(7)
    tensors = {}
    for name, shape in tensor_shapes(architecture).items():
        spread = 0.3 / np.sqrt(int(np.prod(shape[1:])) or 1)
        values = generator.normal(0.0, spread, shape).astype(np.float32)
        layer = name.removesuffix(".weight")
        if layer in {"conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last"}:
            step = shape[1] // 3 if layer == "conv_first" else 1
            for channel in range(3):
                values[channel] *= 0.2
                values[channel, step * channel, 1, 1] += 1.0
        tensors[name] = values if name.endswith("weight") else values * np.float32(0.05)
    return tensors


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., BuildOutcome]:
    """A function from a case to its build, with nearest rounding and one calibration picture."""
    out = tmp_path_factory.mktemp("matrix")

    def build(
        name: str,
        tile: Tile,
        table: Path | None = None,
        *,
        full_integer: bool = False,
        precision: ModelPrecision = "int8",
    ) -> BuildOutcome:
        weights = out / f"{name}.safetensors"
        save_file(draws_in_range(NETWORKS[name]), weights)
        request = BuildRequest(
            name,
            precision,
            targets=("ort",) if full_integer else tuple(PROFILES),
            tile=tile,
            weights=weights,
            calibration=CalibrationRequest(count=1, table=table),
            quantization=QuantOptions(rounding="nearest", full_integer=full_integer),
            out=out / ("full" if full_integer else "all"),
            report=False,
        )
        return build_model(request, Silent())

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


@pytest.mark.parametrize(("name", "tile"), CASES, ids=starmap("{}-{}".format, CASES))
def test_it_builds_for_every_target_and_is_bundled(
    built: Callable[..., BuildOutcome], name: str, tile: Tile, tmp_path: Path
) -> None:
    outcome = built(name, tile)
    assert [check for check in outcome.verification.checks if check.status == "failed"] == []
    assert outcome.verification.passed
    assert outcome.folder.name == tile.named(name)
    assert signatures(outcome) == {(tile.shape, tile.output_shape(NETWORKS[name].scale))}
    whole = built(name, tile, outcome.folder / TABLE_NAME, full_integer=True)
    assert whole.verification.passed
    vendors = ("qnn", "tensorrt") if tile.batch > 1 else ("qnn", "tensorrt", "rknn", "vacc")
    bundle = make_handoff(HandoffRequest(outcome.folder, vendors, out=tmp_path / "b.zip"), Silent())
    checked = check_bundle(bundle.path, Silent())
    assert checked.passed, [check for check in checked.checks if check.status == "failed"]


def test_one_table_serves_every_size_and_says_for_which_it_was_taken(
    built: Callable[..., BuildOutcome],
) -> None:
    first = built("rrdb-x2", TILES[1])
    other = built("rrdb-x2", TILES[2], first.folder / TABLE_NAME)
    assert other.verification.passed
    assert CalibrationTable.load(other.folder / TABLE_NAME).images.size == TILES[1].size
    assert other.manifest.calibration == first.manifest.calibration
    for target in PROFILES:
        one, two = (plan_of(outcome, target) for outcome in (first, other))
        assert (one.edges, one.weights) == (two.edges, two.weights)


def test_vendors_that_make_the_batch_themselves_refuse_one(
    built: Callable[..., BuildOutcome], tmp_path: Path
) -> None:
    outcome = built("srvgg-x4", TILES[2], precision="fp32")
    request = HandoffRequest(outcome.folder, ("rknn", "qnn"), out=tmp_path / "b.zip")
    with pytest.raises(UsageError, match="rknn take one and make the batch themselves"):
        make_handoff(request, Silent())


@pytest.mark.parametrize(("name", "fitting"), [("rrdb-x2", "26x32"), ("rrdb-x1", "28x32")])
def test_sides_that_the_unshuffle_cannot_divide_are_refused(
    built: Callable[..., BuildOutcome], name: str, fitting: str
) -> None:
    with pytest.raises(UsageError, match=f"choose {fitting}"):
        built(name, Tile(25, 32))
