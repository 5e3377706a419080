"""A float ONNX file rebuilt in torch draws what the file draws, whatever the network."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch

from deploy.network.export import export_float
from deploy.simulate.toolchain import driver
from tests.deploy.test_every_network import NETWORKS, RARE, draws_in_range

ALL = {**NETWORKS, **RARE}


@pytest.fixture
def rebuilt(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, found as drivers find it: beside themselves."""
    monkeypatch.syspath_prepend(driver("onnx_as_torch.py").parent)
    monkeypatch.delitem(sys.modules, "onnx_as_torch", raising=False)
    return import_module("onnx_as_torch")


@pytest.mark.parametrize("name", ALL)
def test_every_network_draws_the_same(name: str, rebuilt: ModuleType, tmp_path: Path) -> None:
    architecture = ALL[name]
    generator = np.random.default_rng(5)
    picture = generator.random((1, architecture.channels, 24, 32), np.float32)
    exported = export_float(architecture, draws_in_range(architecture), [picture])
    path = tmp_path / "network.onnx"
    onnx.save(exported.model, path)
    network = rebuilt.OnnxAsTorch(path).eval()
    assert len(exported.probes) == len(exported.original_outputs) > 0
    for probe, expected in zip(exported.probes, exported.original_outputs, strict=True):
        with torch.no_grad():
            drawn = network(torch.from_numpy(probe.values)).numpy()
        np.testing.assert_allclose(drawn, expected, atol=1e-5)
        assert np.ptp(expected) > 0.1


def test_an_operator_that_is_not_known_is_named(rebuilt: ModuleType, tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    unknown (float[1,3,4,4] input) => (float[1,3,4,4] output) { output = Erf(input) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "network.onnx")
    with pytest.raises(SystemExit, match="found Erf; rebuilt in torch are Conv"):
        rebuilt.OnnxAsTorch(tmp_path / "network.onnx")
