"""What spandrel knows is found behind anything; without spandrel, who may need it is told."""

import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from calib.errors import UnknownArchitectureError, WeightsError
from calib.extras import pip_install
from deploy.network import load
from deploy.network.architecture import RRDBNet
from deploy.network.spandrel_module import find, library
from deploy.network.spandrel_module.find import find_known
from deploy.network.weights.checkpoint import load_entries
from tests.deploy.builds import run
from tests.deploy.network.weights.test_find_network import CRITIC, OTHER_FILES, WRAPPINGS

STATE = {
    "feats.0.weight": torch.rand(4, 3, 3, 3),
    "feats.1.table": torch.tensor([[2**53 + 1, -3]]),
    "feats.1.mask": torch.tensor([True, False]),
    "feats.1.counted": torch.tensor(7),
    "head.weight": torch.rand(3, 4, 1, 1).to(torch.float64),
}
HELPED = {"a part of another network", "another trunk"}
"""Of OTHER_FILES, those that may be networks of another architecture."""


@pytest.fixture
def knows_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library know networks with the first and the last key of STATE."""
    monkeypatch.setattr(
        find, "detected", lambda names: "Ours" if {"feats.0.weight", "head.weight"} <= set(names)
        else None,
    )  # fmt: skip


@pytest.fixture
def without_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "find_spec", lambda _: None)


@pytest.mark.usefixtures("knows_state")
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_it_is_found_with_all_of_its_tensors(wrapping, tmp_path) -> None:
    torch.save(WRAPPINGS[wrapping](STATE), tmp_path / "x.pth")
    entries, _ = load_entries(tmp_path / "x.pth")
    found = find_known(entries, "x.pth").tensors
    extra = {"num_batches"} if wrapping == "counter among its names" else set()
    assert found.keys() - {"iter"} == STATE.keys() | extra
    for name, tensor in STATE.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.numpy().dtype
        np.testing.assert_array_equal(found[name], expected.numpy())


@pytest.mark.usefixtures("knows_state")
def test_every_integer_is_read_from_safetensors_too(tmp_path) -> None:
    kinds = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]
    counts = {f"feats.2.{kind}": torch.tensor([[0, 1, 1]]).to(kind) for kind in kinds}
    safetensors.torch.save_file({**STATE, **counts}, tmp_path / "x.safetensors")
    entries, _ = load_entries(tmp_path / "x.safetensors")
    found = find_known(entries, "x.safetensors").tensors
    for name, tensor in {**STATE, **counts}.items():
        expected = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.usefixtures("knows_state")
def test_no_choice_is_silent(tmp_path) -> None:
    other = {name: tensor * 0 for name, tensor in STATE.items()}
    torch.save({"params": other, "params_ema": STATE}, tmp_path / "x.pth")
    entries, _ = load_entries(tmp_path / "x.pth")
    found = find_known(entries, "x.pth")
    np.testing.assert_array_equal(found.tensors["feats.0.weight"], STATE["feats.0.weight"])
    assert "'params_ema', the moving average of its training, is taken" in found.notes[0]
    torch.save({"a": other, "b": STATE}, tmp_path / "x.pth")
    entries, _ = load_entries(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"holds 2 different networks: 'a'.*'b'"):
        find_known(entries, "x.pth")


@pytest.mark.usefixtures("knows_state")
def test_what_it_does_not_know_is_none(tmp_path) -> None:
    torch.save({"net": CRITIC}, tmp_path / "x.pth")
    entries, _ = load_entries(tmp_path / "x.pth")
    with pytest.raises(UnknownArchitectureError, match="no architecture that spandrel knows"):
        find_known(entries, "x.pth")


@pytest.mark.usefixtures("without_spandrel")
@pytest.mark.parametrize("kind", OTHER_FILES)
def test_without_it_the_extra_is_named_where_it_might_help(kind, tmp_path) -> None:
    content, _ = OTHER_FILES[kind]
    torch.save(content, tmp_path / "x.pth")
    refused = run("build", "--weights", tmp_path / "x.pth", "--out", tmp_path)
    assert refused.exit_code == 2
    assert ("pip install 'spandrel" in " ".join(refused.output.split())) == (kind in HELPED)


@pytest.mark.usefixtures("without_spandrel")
@pytest.mark.parametrize(
    ("change", "helped"),
    [
        (lambda state: state.pop("conv_hr.bias"), False),
        (lambda state: state.update({"conv_hr.bias": torch.zeros(5)}), False),
        (lambda state: state.update({"conv_first.weight": torch.zeros(4, 1, 3, 3)}), False),
        (lambda state: state.update({"conv_hr.weight": torch.zeros(4, 4, 3, 3).char()}), False),
        (lambda state: state.update({"conv_hr.bias": torch.full((4,), torch.nan)}), False),
        (lambda state: state.update({"body.0.rdb1.conv1x1.weight": torch.zeros(1)}), True),
        (lambda state: state.update({"layers.0.positions": torch.zeros(2, 2).long()}), True),
    ],
    ids=["bias missing", "bias too long", "gray", "int8", "nan", "another block", "positions"],
)  # fmt: skip
def test_a_network_of_ours_with_a_fault_is_not_called_another(
    change, helped, random_tensors, tmp_path
) -> None:
    tensors = random_tensors(RRDBNet(1, 4, 2)).items()
    state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors}
    change(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError) as refusal:
        load.load_network("mine", tmp_path / "x.pth")
    assert (f"spandrel may know it: {pip_install()}" in str(refusal.value)) == helped


def test_what_is_installed_but_cannot_be_loaded_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(WeightsError, match=r"cannot be loaded.*pip install 'spandrel"):
        library.open_library.__wrapped__()
