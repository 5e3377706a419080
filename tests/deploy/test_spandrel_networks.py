"""Weights of architectures that spandrel knows are built, verified and handed over."""

import importlib.util
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from calib.errors import GraphError, UsageError, WeightsError
from calib.tile import Tile
from deploy.artifacts.manifest import read_manifest
from deploy.network.load import load_network
from deploy.network.spandrel_module.library import open_library
from deploy.network.spandrel_network import SpandrelNetwork
from tests.deploy.builds import run
from tests.deploy.network.spandrel_module.networks import LAST, real_plksr, sane_state

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="extra 'spandrel' is not installed"
)
TARGETS = {
    "real_plksr": ("ort", "tensorrt", "tensorrt-10", "openvino", "qnn", "qnn-w8a16"),
    "span": ("ort", "qnn"),
    "dat_light": ("tensorrt", "qnn-w8a16"),
    "swin_ir": (),
}
"""To what each network is quantized; the float file of the last stands for attention with masks."""
QUICK = ("--size", 32, "--calib-count", 4, "--rounding", "nearest")


@pytest.fixture(scope="module", autouse=True)
def opened() -> None:
    """Import the library; what it warns of in doing so is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_library()


@pytest.fixture(scope="module", params=LAST, ids=lambda make: make.__name__)
def weights(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{request.param.__name__}.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        safetensors.torch.save_file(sane_state(request.param), path)
    return path


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "x.pth")
    return folder / "x.pth"


def test_it_builds_and_verifies(weights, tmp_path) -> None:
    targets = [word for target in TARGETS[weights.stem] for word in ("--target", target)]
    wanted = targets or ["--precision", "fp32"]
    built = run("build", "--weights", weights, *QUICK, *wanted, "--out", tmp_path)
    assert built.exit_code == 0, built.output
    assert "; float compared with the original weights in torch" in built.output
    folder = tmp_path / f"{weights.stem}-32x32"
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.versions["spandrel"] == version("spandrel")
    assert (manifest.network.scale, manifest.network.known_as) == (2, None)
    assert manifest.parity.artifacts[manifest.float_artifact.path].psnr_db_min > 110.0
    verified = run("verify", folder, "--weights", weights, "--backend", "none")
    assert verified.exit_code == 0, verified.output
    assert "0 failed, 0 skipped" in verified.output


def test_wrapped_halves_are_the_same_network(tmp_path) -> None:
    state = {name: tensor.half() for name, tensor in sane_state(real_plksr).items()}
    bare = load_network("mine", saved(tmp_path, {n: t.float() for n, t in state.items()}))
    wrapped = {"params_ema": {f"module.{name}": tensor for name, tensor in state.items()}}
    found = load_network("mine", saved(tmp_path, wrapped))
    assert isinstance(found, SpandrelNetwork)
    assert found.description == bare.description == "PLKSR, 8dim, 1nb, 5ks, Real, x2"
    picture = np.random.default_rng(0).random((1, 3, 16, 20), np.float32)
    np.testing.assert_array_equal(found.runner()(picture), bare.runner()(picture))


def test_the_manifest_of_other_networks_knows_no_spandrel(built) -> None:
    assert "spandrel" not in read_manifest(built / "manifest.json").versions


def _gray() -> dict[str, torch.Tensor]:
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=1, num_out_ch=1, feature_channels=4, upscale=2).state_dict()


def test_a_module_that_cannot_be_exported_leaves_stdout_alone(tmp_path, capfd) -> None:
    """Torch prints the graph that it cannot export, where a JSON document is to stand alone."""

    class Sorts(nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            kept = torch.empty_like(picture)
            torch.sort(picture, out=(kept, torch.empty_like(picture).long()))
            return kept

    network = load_network("mine", saved(tmp_path, sane_state(real_plksr)))
    module = Sorts()
    drawing = replace(network.built, module=module, described=module)
    capfd.readouterr()
    with pytest.raises(GraphError, match=r"torch cannot export x\.pth"):
        replace(network, built=drawing).export([np.zeros((1, 3, 16, 16), np.float32)])
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: {"a.weight": torch.zeros(3, 3)}, r"no architecture known here.*nor is it one"),
        (
            lambda: {n: t for n, t in sane_state(real_plksr).items() if n != "feats.1.refine.bias"},
            r"looks like PLKSR to spandrel .*Missing key.*feats\.1\.refine\.bias",
        ),
        (
            lambda: {n: t.sqrt() for n, t in sane_state(real_plksr).items()},
            r"tensor 'feats.0.weight' holds \d+ values that are NaN or infinite",
        ),
        (_gray, r"takes 1 channels and gives 1; expected one that draws RGB"),
    ],
    ids=["unknown", "part missing", "not finite", "gray"],
)
def test_what_cannot_be_built_is_refused_in_one_line(state, message, tmp_path) -> None:
    with pytest.raises(WeightsError, match=message) as refusal:
        load_network("mine", saved(tmp_path, state()))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_an_activation_is_told_of_no_network_that_says_it(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"x\.pth says itself .*PLKSR.*leave --activation out"):
        load_network("mine", saved(tmp_path, sane_state(real_plksr)), activation="leaky_relu")


def test_a_size_that_would_be_padded_is_refused_with_one_that_is_not(tmp_path) -> None:
    network = load_network("mine", saved(tmp_path, sane_state(real_plksr)))
    network.require_fitting(Tile(36, 64))
    needs = SimpleNamespace(size_requirements=open_library().SizeRequirements(multiple_of=8))
    network = replace(network, built=replace(network.built, described=needs))
    network.require_fitting(Tile(32, 64))
    with pytest.raises(UsageError, match=r"--size 36x64.*choose 40x64"):
        network.require_fitting(Tile(36, 64))


def test_a_module_that_spandrel_draws_other_pictures_with_is_refused(tmp_path) -> None:
    network = load_network("mine", saved(tmp_path, sane_state(real_plksr)))
    picture = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    network = replace(network, built=replace(network.built, module=nn.Upsample(scale_factor=2)))
    with pytest.raises(GraphError, match="what spandrel makes of it beside"):
        network.export([picture])
