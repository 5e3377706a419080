"""Our ranges take the place of what torchao would see, by the tensors that observers see."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch

from deploy.simulate.toolchain import driver

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
two (float[1,2,4,4] input) => (float[1,4,4,4] sum)
<float[2,2,1,1] w = {1, 0, 0, 1}, float[4,4,1,1] v = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1},
 float c = {0.5}>
{
    conv = Conv(input, w)
    act = LeakyRelu<alpha = 0.2>(conv)
    both = Concat<axis = 1>(input, act)
    second = Conv(both, v)
    less = Mul(second, c)
    sum = Add(less, both)
}"""
TENSORS = ("input", "conv", "act", "both", "second", "less", "sum")


class Observer(torch.nn.Module):
    """Stands in for torchao's, which the tests do not have."""

    seen = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        return values


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(driver("executorch_ranges.py").parent)
    for name in ("executorch_ranges", "our_ranges", "onnx_as_torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("executorch_ranges")


@pytest.fixture
def network(ranges: ModuleType, tmp_path: Path) -> torch.nn.Module:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "network.onnx")
    return ranges.OnnxAsTorch(tmp_path / "network.onnx").eval()


def observed(network: torch.nn.Module, shared: bool = False) -> tuple:
    """Return the exported network with an observer behind every node, and those by node."""
    graph_module = torch.export.export(network, (torch.zeros(1, 2, 4, 4),)).module()
    observers: dict[str, Observer] = {}
    graph = graph_module.graph
    for node in list(graph.nodes):
        if node.op == "output" or "guard" in node.name:
            continue
        name = f"observer_{len(observers)}"
        first = next(iter(observers.values()), Observer())
        observers[node.name] = first if shared else Observer()
        graph_module.add_submodule(name, observers[node.name])
        with graph.inserting_after(node):
            graph.call_module(name, (node,))
    return graph_module, observers


def encodings(folder: Path, *left_out: str) -> Path:
    """Return AIMET's JSON of every tensor but some: scale 1/8, 2/8, ... and zero point 3."""
    acts = [
        {"name": name, "scale": [number / 8], "offset": [-3], "bw": 8}
        for number, name in enumerate(TENSORS, 1)
        if name not in left_out
    ]
    params = [
        {"name": name, "scale": [0.5] * channels, "offset": [-128] * channels, "bw": 8}
        for name, channels in (("w", 2), ("v", 4))
    ]
    path = folder / "e.json"
    path.write_text(json.dumps({"activation_encodings": acts, "param_encodings": params}))
    return path


def test_every_observer_gives_the_scale_of_its_tensor(
    ranges: ModuleType, network: torch.nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    prepared, observers = observed(network)
    ranges.with_ours(prepared, network, encodings(tmp_path))
    names = ranges.tensor_names(prepared, network)
    assert {names[node] for node in observers} == {*TENSORS, "w", "v", "c"}
    for node, observer in observers.items():
        name = names[node]
        if name == "c":  # a constant that has none: its observer sees it
            assert observer.seen == 1
            continue
        scale, zero = observer.calculate_qparams()
        if name in TENSORS:
            assert scale.tolist() == pytest.approx([(TENSORS.index(name) + 1) / 8])
            assert zero.tolist() == [3 - 128]
        else:
            assert scale.tolist() == pytest.approx([0.5] * len(scale))
            assert zero.tolist() == [0] * len(scale)
        assert observer.seen == 0
    assert capsys.readouterr().out == "9 ranges are ours\n"


def test_a_tensor_without_a_range_of_ours_is_refused(
    ranges: ModuleType, network: torch.nn.Module, tmp_path: Path
) -> None:
    prepared, _ = observed(network)
    with pytest.raises(SystemExit, match="our file has no range of act"):
        ranges.with_ours(prepared, network, encodings(tmp_path, "act"))


def test_one_scale_for_tensors_that_have_two_is_refused(
    ranges: ModuleType, network: torch.nn.Module, tmp_path: Path
) -> None:
    prepared, _ = observed(network, shared=True)
    with pytest.raises(SystemExit, match="one scale; ours has two"):
        ranges.with_ours(prepared, network, encodings(tmp_path))


def test_codes_are_those_of_the_file(ranges: ModuleType) -> None:
    observer, scale, zero = Observer(), 0.0071, 117
    ranges.give(observer, [(-zero * scale, (255 - zero) * scale)])
    ((step,), (place,)) = (found.tolist() for found in observer.calculate_qparams())
    values = np.linspace(-1, 1, 999)
    ours = np.clip(np.rint(values / scale) + zero, 0, 255)
    theirs = np.clip(np.rint(values / step) + place, -128, 127)
    assert np.abs(theirs + 128 - ours).max() == 0
