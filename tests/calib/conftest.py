"""A small dense-block network and noise patches, for tests that run a graph."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.dataset import PatchRef, PatchSet
from calib.images import Picture
from calib.tile import USUAL_PX
from calib.views import WholeView

DENSE_BLOCK = """
<ir_version: 8, opset_import: ["": 17]>
dense (float[1,3,128,128] input) => (float[1,3,256,256] output)
<float[6,3,3,3] head_w, float[4,6,3,3] grow1_w, float[4,10,3,3] grow2_w, float[6,14,3,3] join_w,
 float[3,6,3,3] tail_w, float fifth = {0.2}, float[4] doubled = {1, 1, 2, 2}>
{
    head = Conv<pads = [1,1,1,1]>(input, head_w)
    grown1 = Conv<pads = [1,1,1,1]>(head, grow1_w)
    act1 = LeakyRelu<alpha = 0.2>(grown1)
    both = Concat<axis = 1>(head, act1)
    grown2 = Conv<pads = [1,1,1,1]>(both, grow2_w)
    act2 = LeakyRelu<alpha = 0.2>(grown2)
    three = Concat<axis = 1>(head, act1, act2)
    joined = Conv<pads = [1,1,1,1]>(three, join_w)
    damped = Mul(joined, fifth)
    trunk = Add(damped, head)
    larger = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",
                    nearest_mode = "floor">(trunk, , doubled)
    output = Conv<pads = [1,1,1,1]>(larger, tail_w)
}
"""


@dataclass(frozen=True)
class NoisePhoto:
    """A picture of noise of its own brightness, made from its seed."""

    seed: int

    @property
    def name(self) -> str:
        return f"noise-{self.seed}"

    def read(self) -> Picture:
        rng = np.random.default_rng(self.seed)
        ceiling = rng.integers(16, 256)
        return rng.integers(0, ceiling, (USUAL_PX, USUAL_PX, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def dense_block() -> onnx.ModelProto:
    """One dense block with a head, a residual trunk and an upsampling tail; random weights."""
    model = onnx.parser.parse_model(DENSE_BLOCK)
    rng = np.random.default_rng(7)
    for info in model.graph.value_info:
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        if info.name.endswith("_w"):
            weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(weights, info.name))
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="session")
def noise_patches() -> Callable[[int], PatchSet]:
    """Make a set of ``count`` patches of noise."""

    def make(count: int) -> PatchSet:
        photos = [NoisePhoto(seed) for seed in range(count)]
        refs = tuple(PatchRef.describe(photo, WholeView(), photo.read()) for photo in photos)
        return PatchSet("folder", "whole", 0, count, refs)

    return make
