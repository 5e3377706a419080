"""The runtimes a file can be run with: which are there, and that each computes the file."""

import importlib.metadata
import re

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError, UsageError
from calib.extras import pip_install
from deploy.runtime import backends
from deploy.runtime.backends import (
    BACKENDS,
    backend_runner,
    backend_version,
    is_installed,
    require_backends,
)

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,8,8] input) => (float[1,3,16,16] output)
<float[3,3,1,1] w = {0.5, 0.2, -0.1, 0.3, 0.4, 0.0, 0.1, -0.2, 0.7}, float[3] b = {0.1, 0.0, -0.1},
 float[4] scales = {1.0, 1.0, 2.0, 2.0}>
{
  [conv] a = Conv(input, w, b)
  [act] c = LeakyRelu<alpha=0.2>(a)
  [up] output = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",
                       nearest_mode="floor">(c, , scales)
}
"""
DISTRIBUTIONS = {"ort": "onnxruntime", "openvino": "openvino"}


@pytest.fixture
def model() -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(TEXT)
    onnx.checker.check_model(parsed, full_check=True)
    return parsed


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_computes_what_the_reference_evaluator_does(name, model) -> None:
    if name != "ort":
        pytest.importorskip(DISTRIBUTIONS[name])
    # bf16 where a processor has it is the runtime's own choice.
    config = {"INFERENCE_PRECISION_HINT": "f32"} if name == "openvino" else None
    run = backend_runner(name, model, config)
    picture = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"input": picture})
    np.testing.assert_allclose(run(picture), expected, atol=1e-5)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_version_is_that_of_the_distribution(name) -> None:
    if name != "ort":
        pytest.importorskip(DISTRIBUTIONS[name])
    assert backend_version(name).startswith(importlib.metadata.version(DISTRIBUTIONS[name]))


def test_onnxruntime_is_always_there_and_an_extra_may_be_missing(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(backends, "find_spec", asked.append)
    assert is_installed("ort")
    assert not is_installed("openvino")
    assert asked == ["openvino"]
    require_backends(["ort"])
    require_backends([])
    message = rf"the backend openvino is not installed; run: {re.escape(pip_install())} 'openvino>="
    with pytest.raises(UsageError, match=message):
        require_backends(["ort", "openvino"])


@pytest.mark.parametrize("name", BACKENDS)
def test_a_model_a_runtime_refuses_is_named(name, model) -> None:
    if name != "ort":
        pytest.importorskip(DISTRIBUTIONS[name])
    model.graph.node[0].op_type = "NoSuchOperator"
    refused = {"ort": "NoSuchOperator", "openvino": "OpenVINO cannot load the graph"}
    with pytest.raises(GraphError, match=refused[name]):
        backend_runner(name, model)
