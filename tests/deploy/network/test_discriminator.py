"""The folded discriminator computes what torch computes under spectral normalization."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from calib.errors import WeightsError
from deploy.network.discriminator import discriminator_graph, discriminator_shapes
from deploy.network.weights.checkpoint import load_checkpoint
from deploy.network.weights.discriminator import load_discriminator
from deploy.runtime.runner import model_runner
from quant.numerics.psnr import psnr_of
from tests.deploy.network.unet import new_norm, old_norm, trained


@pytest.mark.parametrize("norm", [old_norm, new_norm], ids=["weight_orig", "parametrizations"])
@pytest.mark.parametrize("wrapping", [("params",), ("state_dict", "net_d"), ()])
def test_it_is_the_network_of_the_checkpoint(norm, wrapping, tmp_path: Path) -> None:
    network = trained(norm)
    saved = network.state_dict()
    for key in reversed(wrapping):
        saved = {key: saved}
    torch.save(saved, tmp_path / "net_d.pth")
    found = load_discriminator(tmp_path / "net_d.pth")
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    assert shapes == discriminator_shapes(4)
    rng = np.random.default_rng(0)
    for height, width in ((32, 32), (40, 64)):
        model = discriminator_graph(found.tensors, height, width)
        onnx.checker.check_model(model, full_check=True)
        picture = rng.random((1, 3, height, width), dtype=np.float32)
        logits = model_runner(model, optimized=True)(picture)
        assert logits.shape == (1, 1, height, width)
        with torch.no_grad():
            expected = network(torch.from_numpy(picture)).numpy()
        spread = float(expected.max() - expected.min())
        assert spread > 0
        error = logits.astype(np.float64) - expected
        assert psnr_of(float(np.mean(error**2)), spread) > 110


def test_normalized_weights_have_singular_values_near_one(tmp_path: Path) -> None:
    save_file(trained(old_norm).state_dict(), tmp_path / "net_d.safetensors")
    tensors = load_discriminator(tmp_path / "net_d.safetensors").tensors
    for layer in range(1, 9):
        weight = tensors[f"conv{layer}.weight"]
        largest = np.linalg.svd(weight.reshape(len(weight), -1), compute_uv=False)[0]
        assert largest == pytest.approx(1, abs=0.2)


def test_plain_weights_stay_as_they_are(tmp_path: Path) -> None:
    plain = trained(lambda module: module).state_dict()
    save_file(plain, tmp_path / "net_d.safetensors")
    tensors = load_discriminator(tmp_path / "net_d.safetensors").tensors
    for name, value in plain.items():
        np.testing.assert_array_equal(tensors[name], value.numpy())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv4.weight_u"), "of conv4 lacks one of"),
        (lambda s: s.pop("conv9.bias"), "missing keys 'conv9.bias'"),
        (lambda s: s.pop("conv0.weight"), "holds 0 discriminators"),
        (lambda s: s.update({"linear.weight": torch.ones(1)}), "not expected 'linear.weight'"),
        (lambda s: s["conv2.weight_v"].zero_(), "conv2 is estimated at 0"),
        (lambda s: s.update({"conv3.weight_u": torch.ones(3)}), r"shapes \[3\]"),
        (lambda s: s["conv9.bias"].fill_(float("nan")), r"conv9\.bias is not finite"),
        (lambda s: s.update({"conv9.weight": torch.ones(3, 4, 3, 3)}), r"expected \[1, 4, 3, 3\]"),
    ],
)
def test_what_is_no_whole_discriminator_is_refused(change, said: str, tmp_path: Path) -> None:
    state = {name: value.clone() for name, value in trained(old_norm).state_dict().items()}
    change(state)
    torch.save({"params": state}, tmp_path / "net_d.pth")
    with pytest.raises(WeightsError, match=said):
        load_discriminator(tmp_path / "net_d.pth")


def test_two_discriminators_are_not_chosen_between(tmp_path: Path) -> None:
    state = trained(old_norm).state_dict()
    torch.save({"params": state, "params_ema": state}, tmp_path / "net_d.pth")
    with pytest.raises(WeightsError, match="holds 2 discriminators"):
        load_discriminator(tmp_path / "net_d.pth")


def test_where_a_generator_is_expected_the_way_is_named(tmp_path: Path) -> None:
    torch.save({"params": trained(old_norm).state_dict()}, tmp_path / "net_d.pth")
    with pytest.raises(WeightsError, match=r"is a discriminator.*'esrdeploy eval --critic FILE'"):
        load_checkpoint(tmp_path / "net_d.pth")
