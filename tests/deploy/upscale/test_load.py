"""How the parts of a network are loaded: float parts in float32 but for an int8 file's head."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.tile import Size
from deploy.runtime.backends import is_installed
from deploy.upscale import load
from deploy.upscale.built_file import find_file
from deploy.upscale.sized_network import SizedNetwork

Config = Mapping[str, str] | None
FLOAT32: Config = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.mark.parametrize(("precision", "of_the_head"), [("fp32", FLOAT32), ("int8", {})])
def test_openvino_computes_the_float_parts_of_an_int8_head_as_fast_as_it_can(
    precision, of_the_head: Config, small_build: Path, monkeypatch
) -> None:
    if not is_installed("openvino"):
        pytest.skip("OpenVINO is not installed")
    seen: dict[str, Config] = {}
    make = load.backend_runner

    def noting(backend, model: onnx.ModelProto, config: Config, *rest: object):
        (taken,) = model.graph.input
        channels = taken.type.tensor_type.shape.dim[1].dim_value
        seen["before it grows" if channels == 3 else "from there on"] = config
        return make(backend, model, config, *rest)

    monkeypatch.setattr(load, "backend_runner", noting)
    monkeypatch.setattr(load, "kept_folder", lambda: None)
    network = load.load_network(find_file(small_build, None, precision, "openvino"))
    drawn = network.run(Size(64, 80), np.full((1, 3, 64, 80), 0.5, np.float32))
    assert drawn.shape == (1, 3, 128, 160)  # twice as large
    assert seen == {"before it grows": FLOAT32, "from there on": of_the_head}


def test_a_head_that_cannot_be_loaded_is_told_of(small_build: Path) -> None:
    def refuse(_: onnx.ModelProto):
        raise RuntimeError("no head")

    file = find_file(small_build, None, "fp32", "ort")
    network = SizedNetwork(file.model(), file.scale, load.loader("ort"), load_head=refuse)
    with pytest.raises(RuntimeError, match="no head"):
        network.run(Size(64, 80), np.zeros((1, 3, 64, 80), np.float32))
