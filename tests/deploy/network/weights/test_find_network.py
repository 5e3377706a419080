"""However a network is wrapped, it is found; what is no network is named; no choice is silent."""

import re
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from calib.errors import UsageError, WeightsError
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.load import load_network
from deploy.network.weights.checkpoint import load_checkpoint
from tests.deploy.builds import run

NETWORKS = [RRDBNet(1, 4, 2), SRVGG(1, 4, 2), SRVGG(1, 4, 2, "relu")]


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


ONE = torch.ones(1)
CRITIC = {"conv0.weight": torch.zeros(2, 3, 3, 3), "conv1.weight_orig": torch.zeros(2, 2, 4, 4)}
WRAPPINGS = {
    "bare": lambda state: state,
    "params": lambda state: {"params": state},
    "params_ema": lambda state: {"params_ema": state, "iter": 5},
    "params-ema": lambda state: {"params-ema": state},
    "any key": lambda state: {"my network": state, "epoch": 3},
    "nested": lambda state: {"state_dict": {"model": {"net": state}}, "meta": {"a": [1]}},
    "module.": lambda state: prefixed("module.", state),
    "_orig_mod.module.": lambda state: {"params": prefixed("_orig_mod.module.", state)},
    "netG.": lambda state: prefixed("netG.", state),
    "params. in names": lambda state: prefixed("params.", state),
    "counter": lambda state: {
        "n_averaged": torch.tensor(7), **prefixed("module.", state), "step": torch.tensor([2])
    },
    "counter among its names": lambda state: {**state, "num_batches": torch.tensor(3)},
    "critic beside": lambda state: {"net_g": state, "net_d": CRITIC},
    "lightning": lambda state: {
        "state_dict": prefixed("net_g.", state) | prefixed("net_d.", CRITIC),
        "optimizer_states": [{"state": {}}],
    },
    "the same twice": lambda state: {"params": state, "params_ema": dict(state)},
}  # fmt: skip


def in_torch(tensors, dtype=torch.float32):
    return {name: torch.from_numpy(tensor.copy()).to(dtype) for name, tensor in tensors.items()}


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_network_is_found_behind_anything(wrapping, architecture, random_tensors, tmp_path):
    tensors = random_tensors(architecture)
    torch.save(WRAPPINGS[wrapping](in_torch(tensors)), tmp_path / "x.pth")
    network = load_network("mine", tmp_path / "x.pth")
    assert network.architecture == architecture
    found = network.checkpoint.tensors
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)
    left_out = [line for line in network.notes() if "left out: " in line]
    assert bool(left_out) == any(word in wrapping for word in ("critic", "lightning"))
    assumed = [line for line in network.notes() if "taken to be ReLU" in line]
    assert bool(assumed) == (architecture == NETWORKS[2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
def test_every_precision_in_every_container(container, dtype, random_tensors, tmp_path):
    stored = in_torch(random_tensors(NETWORKS[0]), dtype)
    path = tmp_path / ("x.safetensors" if container == "safetensors" else "x.pth")
    if container == "safetensors":
        safetensors.torch.save_file(stored, path)
    else:
        torch.save(stored, path, _use_new_zipfile_serialization=container == "zip")
    found = load_checkpoint(path).tensors
    assert found.keys() == stored.keys()
    for name, tensor in stored.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor.float().numpy())


AVERAGED = [
    ("params_ema", "params"),
    ("params-ema", "params"),
    ("state_dict.generator_ema", "state_dict.generator"),
    ("ema", "model"),
]


@pytest.mark.parametrize(("average", "plain"), AVERAGED)
def test_the_moving_average_is_taken_and_that_is_told(average, plain, random_tensors, tmp_path):
    tensors = random_tensors(NETWORKS[0])
    state = in_torch(tensors)
    other = {name: tensor + 1 for name, tensor in state.items()}
    torch.save(prefixed(f"{plain}.", other) | prefixed(f"{average}.", state), tmp_path / "x.pth")
    found = load_checkpoint(tmp_path / "x.pth")
    np.testing.assert_array_equal(found.tensors["conv_hr.bias"], tensors["conv_hr.bias"])
    assert len(found.tensors) == len(tensors)
    (note,) = found.notes
    assert f"{average!r} beside {plain!r}" in note


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [
        pytest.param("net_a", "net_b", NETWORKS[0], id="no average"),
        pytest.param("params", "params_ema", RRDBNet(2, 4, 2), id="average of another network"),
        pytest.param("a_ema", "b_ema", NETWORKS[0], id="two averages"),
    ],
)
def test_two_different_networks_are_never_chosen_between(
    first, second, other, random_tensors, tmp_path
):
    both = {
        first: in_torch(random_tensors(NETWORKS[0], 1)), second: in_torch(random_tensors(other, 2))
    }  # fmt: skip
    torch.save(both, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"2 different networks.*expected one") as refusal:
        load_checkpoint(tmp_path / "x.pth")
    assert repr(first) in str(refusal.value)
    assert repr(second) in str(refusal.value)


class Whole(nn.Conv2d):
    """A module that a pickle names; nothing may make one of it."""


def numpy_beside(state):
    return {"params": state, "psnr": np.float64(31.2)}


OTHER_FILES = {
    "a part of another network": (
        {
            "head.0.weight": torch.zeros(4, 3, 3, 3),
            **{f"body.0.body.{index}.weight": torch.zeros(12, 4, 3, 3) for index in (0, 2)},
        },
        r"no architecture known here: found keys 'head\.0\.weight', 'body\.0\.body\.0\.weight'",
    ),
    "another trunk": (
        {"params": {"conv_first.weight": torch.zeros(4, 3, 3, 3), "layers.0.qkv.weight": ONE}},
        r"another architecture.*found 'layers\.0\.qkv\.weight'",
    ),
    "critic": ({"params": CRITIC}, "is a discriminator.*'params.conv0.weight'.*net_g_"),
    "old critic": ({"module.conv0_0.weight": ONE, "linear1.weight": ONE}, "is a discriminator"),
    "training state": (
        {"epoch": 1, "iter": 9, "optimizers": [{"state": {0: {"exp_avg": ONE}}}], "schedulers": []},
        "is a training state.*net_g_",
    ),
    "state of an optimizer": ({"optimizer": {"state": {0: {"exp_avg": ONE}}}}, "training state"),
    "nothing": ({}, "an empty state dict"),
    "numbers": ({"params": {"a": 1}}, "holds no tensors: entry 'params.a' is of type int"),
    "integers": ({"a": torch.zeros(2, dtype=torch.int64)}, "tensor 'a' is torch.int64"),
    "sparse": ({"body.0.weight": torch.eye(3).to_sparse()}, "expected|found no such tensor"),
    "list": ([{"a": ONE}], r"holds a list \(1 values of type dict\).*torch\.save\(model\.state_d"),
    "tensor": (ONE, "holds one tensor without a name"),
    "number": (3, "a value of type int"),
    "whole module": (nn.Sequential(nn.Conv2d(3, 3, 3)), "a whole module.*never done.*torch.save"),
    "numpy values": (numpy_beside({"a": ONE}), "numpy values beside its tensors.*never done"),
    "own class": ({"a": ONE, "b": Whole(1, 1, 1)}, r"test_find_network\.Whole.*never done"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_no_network_is_named_in_one_line(kind, tmp_path):
    content, message = OTHER_FILES[kind]
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message) as refusal:
        load_network("mine", tmp_path / "x.pth")
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value)


def test_a_torchscript_program_is_called_one(tmp_path):
    program = tmp_path / "x.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants another exporter; people have these files
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 3), torch.zeros(1, 3, 4, 4)), program)
    with pytest.raises(WeightsError, match="is a TorchScript program") as refusal:
        load_checkpoint(program)
    assert "weights_only" not in str(refusal.value)


def test_a_file_that_was_unpacked_and_zipped_again_loads(random_tensors, tmp_path):
    tensors = random_tensors(NETWORKS[0])
    torch.save(in_torch(tensors), tmp_path / "x.pth")
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as saved,
        zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_DEFLATED) as again,
    ):
        for name in saved.namelist():
            again.writestr(name, saved.read(name))
    found = load_checkpoint(tmp_path / "y.pth").tensors
    np.testing.assert_array_equal(found["conv_hr.weight"], tensors["conv_hr.weight"])


def test_an_integer_among_the_weights_is_refused(random_tensors, tmp_path):
    state = in_torch(random_tensors(NETWORKS[0]))
    state["conv_hr.weight"] = state["conv_hr.weight"].to(torch.int8)
    torch.save({"params": state}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"'params\.conv_hr\.weight' is torch\.int8"):
        load_checkpoint(tmp_path / "x.pth")


def test_the_command_tells_what_was_decided(random_tensors, tmp_path):
    state = in_torch(random_tensors(NETWORKS[2]))
    other = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"params": other, "params-ema": state}, tmp_path / "x.pth")
    arguments = ("build", "--model", "mine", "--weights", tmp_path / "x.pth")
    done = run(*arguments, "--precision", "fp32", "--no-report", "--out", tmp_path / "dist")
    assert done.exit_code == 0, done.output
    assert "'params-ema'" in done.stderr
    assert "taken to be ReLU" in done.stderr


def test_an_activation_that_no_tensor_says_is_told(random_tensors, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(in_torch(random_tensors(NETWORKS[2])), path)
    leaky = load_network("mine", path, activation="leaky_relu")
    assert leaky.architecture == replace(NETWORKS[2], activation="leaky_relu")
    assert [line for line in leaky.notes() if "activation" in line] == []
    picture = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    relu = load_network("mine", path, activation="relu")
    assert np.abs(leaky.runner()(picture) - relu.runner()(picture)).max() > 1e-3


@pytest.mark.parametrize("number", [0, 1], ids=["RRDBNet", "PReLU"])
def test_an_activation_that_the_weights_say_is_not_told_again(number, random_tensors, tmp_path):
    torch.save(in_torch(random_tensors(NETWORKS[number])), tmp_path / "x.pth")
    said = f"found --activation relu.*{re.escape(str(NETWORKS[number]))}"
    with pytest.raises(UsageError, match=said):
        load_network("mine", tmp_path / "x.pth", activation="relu")


def test_a_build_of_another_activation_is_no_addition(random_tensors, tmp_path):
    torch.save(in_torch(random_tensors(NETWORKS[2])), tmp_path / "mine.pth")
    build = ("build", "--weights", tmp_path / "mine.pth", "--precision", "fp32", "--no-report")
    out = ("--out", tmp_path / "dist")
    assert run(*build, "--activation", "leaky_relu", *out).exit_code == 0
    verified = run("verify", tmp_path / "dist", "--weights", tmp_path / "mine.pth")
    assert verified.exit_code == 0, verified.output
    assert "the original weights in torch" in verified.output.replace("\n", " "), verified.output
    again = run(*build, *out)
    assert again.exit_code == 2
    assert "LeakyReLU, asked for is SRVGGNetCompact" in again.stderr.replace("\n", " ")
