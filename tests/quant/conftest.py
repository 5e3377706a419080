"""Small graphs as ONNX text, calibrated on the spot, and a plan and QDQ file of each target."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.calibrate import calibrate
from calib.colours import RGB
from calib.graph import GraphIndex, network_digest
from calib.images import to_input
from calib.images_record import ImagesRecord
from calib.runtime import Session
from calib.sample import sample_patches
from calib.table import CalibrationTable, TensorStatistics
from calib.tile import USUAL_SIZE
from quant.analysis.tensor_distributions import observed_tensors
from quant.plan import QuantOptions
from quant.targets import find_profile
from tests.quant.by_model import emit_qdq, make_plan
from tests.real_network import REAL_SIZE

NO_IMAGES = ImagesRecord("folder", "whole", 0, None, 0, USUAL_SIZE, "0" * 64, ())
HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'

# One dense block of two convolutions with its residual addition, an upsampling and the picture's
# two ends: every part of an RRDBNet once.
RESIDUAL = (
    HEADER
    + """
residual (float[1,3,8,8] input) => (float[1,3,16,16] output)
<float[4,3,3,3] w0, float[4] b0, float[2,4,3,3] w1, float[2] b1, float[4,6,3,3] w2, float[4] b2,
 float fifth = {0.2}, float[4] scales = {1.0, 1.0, 2.0, 2.0},
 float[4,4,3,3] w3, float[4] b3, float[3,4,3,3] w4, float[3] b4>
{
  [first] feat = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [conv1] pre1 = Conv<pads=[1,1,1,1]>(feat, w1, b1)
  [act1] x1 = LeakyRelu<alpha=0.2>(pre1)
  [cat] joined = Concat<axis=1>(feat, x1)
  [conv2] branch = Conv<pads=[1,1,1,1]>(joined, w2, b2)
  [scale] scaled = Mul(branch, fifth)
  [sum] trunk = Add(scaled, feat)
  [up] large = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",
                      nearest_mode="floor">(trunk, , scales)
  [conv_up] pre_up = Conv<pads=[1,1,1,1]>(large, w3, b3)
  [act_up] up_out = LeakyRelu<alpha=0.2>(pre_up)
  [last] output = Conv<pads=[1,1,1,1]>(up_out, w4, b4)
}
"""
)

# SRVGGNetCompact in small: PReLU, pixel shuffle and the nearest-neighbour skip.
COMPACT = (
    HEADER
    + """
compact (float[1,3,8,8] input) => (float[1,3,16,16] output)
<float[4,3,3,3] w0, float[4] b0, float[4,1,1] slope0, float[4,4,3,3] w1, float[4] b1,
 float[4,1,1] slope1, float[12,4,3,3] w2, float[12] b2, float[4] scales = {1.0, 1.0, 2.0, 2.0}>
{
  [conv0] c0 = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [prelu0] p0 = PRelu(c0, slope0)
  [conv1] c1 = Conv<pads=[1,1,1,1]>(p0, w1, b1)
  [prelu1] p1 = PRelu(c1, slope1)
  [conv2] c2 = Conv<pads=[1,1,1,1]>(p1, w2, b2)
  [shuffle] details = DepthToSpace<blocksize=2, mode="CRD">(c2)
  [up] base = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",
                     nearest_mode="floor">(input, , scales)
  [sum] output = Add(details, base)
}
"""
)


def parse(text: str, seed: int = 0) -> onnx.ModelProto:
    """Parse a graph and make random initializers of those declared without a value."""
    model = onnx.parser.parse_model(text)
    generator = np.random.default_rng(seed)
    for info in model.graph.value_info:
        shape = tuple(d.dim_value for d in info.type.tensor_type.shape.dim)
        fan_in = int(np.prod(shape[1:])) or 1
        values = generator.normal(0.0, 1.0 / np.sqrt(fan_in), shape)
        if info.name.startswith("slope"):
            values = generator.uniform(0.05, 0.5, shape)
        stored = numpy_helper.from_array(values.astype(np.float32), info.name)
        model.graph.initializer.append(stored)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def pictures(model: onnx.ModelProto, count: int = 4) -> list[np.ndarray]:
    generator = np.random.default_rng(99)
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    return [generator.integers(0, 256, shape).astype(np.float32) / 255 for _ in range(count)]


def expose(model: onnx.ModelProto, tensors: tuple[str, ...]) -> onnx.ModelProto:
    """Return the model with ``tensors`` as its outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    for name in tensors:
        opened.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    return opened


def observe(model: onnx.ModelProto, brightness: float = 1.0) -> CalibrationTable:
    """Calibrate a small graph in one go: every observed tensor as an output."""
    inputs = GraphIndex(model).inputs
    made = tuple(name for name in observed_tensors(model) if name not in inputs)
    session = Session(expose(model, made), optimized=False, threads=1)
    seen: dict[str, TensorStatistics] = {}
    for picture in pictures(model):
        shown = {"input": picture * np.float32(brightness)}
        arrays = {**shown, **session.run(shown)}
        for name, array in arrays.items():
            statistics = TensorStatistics.of(array)
            seen[name] = seen[name].merge(statistics) if name in seen else statistics
    return CalibrationTable(network_digest(model), NO_IMAGES, seen)


@pytest.fixture(scope="session")
def parsed() -> Callable[[str], onnx.ModelProto]:
    """Text to model, with random weights where the text gives none."""
    return parse


@pytest.fixture(scope="session")
def calibrated() -> Callable[..., CalibrationTable]:
    """Small model to calibration table, of pictures as dark as is asked for."""
    return observe


@pytest.fixture(scope="session")
def probes() -> Callable[..., list[np.ndarray]]:
    """Model to seeded float32 pictures in [0, 1], on the 8-bit grid."""
    return pictures


@pytest.fixture(scope="session")
def exposed() -> Callable[..., onnx.ModelProto]:
    """Model and tensor names to a model that gives these tensors out."""
    return expose


@pytest.fixture(scope="session")
def residual() -> onnx.ModelProto:
    """One residual dense block with an upsampling tail."""
    return parse(RESIDUAL)


@pytest.fixture(scope="session")
def compact() -> onnx.ModelProto:
    """A small SRVGGNetCompact."""
    return parse(COMPACT)


@pytest.fixture(scope="session")
def residual_table(residual: onnx.ModelProto) -> CalibrationTable:
    """Statistics of the residual graph."""
    return observe(residual)


@pytest.fixture(scope="session")
def compact_table(compact: onnx.ModelProto) -> CalibrationTable:
    """Statistics of the compact graph."""
    return observe(compact)


@pytest.fixture(scope="session")
def emitted(
    residual: onnx.ModelProto, residual_table: CalibrationTable
) -> Callable[..., onnx.ModelProto]:
    """Target and options to the QDQ file of the residual graph; a fresh copy each time."""

    def emit(target: str, options: Mapping[str, object] | None = None) -> onnx.ModelProto:
        chosen = QuantOptions(**(options or {}))
        return emit_qdq(residual, make_plan(residual, residual_table, find_profile(target), chosen))

    return emit


@pytest.fixture(scope="session")
def probe_patch() -> np.ndarray:
    """One picture of the embedded sample that is not calibrated on, float32 ``[1,3,64,64]``."""
    return to_input(sample_patches("verification", 1, REAL_SIZE).patches[0].load(), RGB)


@pytest.fixture(scope="session")
def calibrated_anime(anime_float_path: Path) -> CalibrationTable:
    """Statistics of the real x4plus-anime-6b over one picture of the embedded sample."""
    model = onnx.load(anime_float_path)
    return calibrate(model, observed_tensors(model), sample_patches("calibration", 1, REAL_SIZE))
