import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from calib.digest import sha256_bytes
from calib.errors import WeightsError
from deploy.artifacts.weights_record import WeightsRecord
from deploy.network.architecture import SRVGG
from deploy.network.known_models import WEIGHTS_PACKAGE, ModelEntry, find_model
from deploy.network.weights import checkpoint as checkpoint_module
from deploy.network.weights.checkpoint import (
    load_checkpoint,
    load_model_checkpoint,
    weights_at_hand,
)
from deploy.network.weights.identify import identify

COMPACT = SRVGG(convs=1, features=4, scale=2)
ENTRY = ModelEntry("tiny", COMPACT, "tiny.pth", "v0")


class RunsCode:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.fixture
def tensors(random_tensors):
    return random_tensors(COMPACT)


@pytest.fixture
def torch_tensors(tensors):
    return {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state, _: state, id="bare"),
        pytest.param(lambda state, _: {"params": state}, id="params"),
        pytest.param(lambda state, other: {"params": other, "params_ema": state}, id="both"),
        pytest.param(lambda state, _: {"params_ema": state, "iter": 5}, id="with counter"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_pth_round_trip(wrap, zipped, tensors, torch_tensors, tmp_path):
    other = {name: tensor + 1 for name, tensor in torch_tensors.items()}
    path = tmp_path / "fine-tuned.pth"
    torch.save(wrap(torch_tensors, other), path, _use_new_zipfile_serialization=zipped)
    found = load_checkpoint(path)
    assert_same(found.tensors, tensors)
    assert identify(found.tensors) == COMPACT
    assert found.sha256 == sha256_bytes(path.read_bytes())
    assert found.record() == WeightsRecord(
        "file fine-tuned.pth", found.sha256, {"fine-tuned.pth": found.sha256}, None, None
    )


def test_half_precision_and_strided_tensors_become_float32(torch_tensors, tmp_path):
    weight = torch_tensors["body.0.weight"]
    torch_tensors["body.0.weight"] = weight.half().transpose(0, 1).contiguous().transpose(0, 1)
    torch.save(torch_tensors, tmp_path / "half.pth")
    found = load_checkpoint(tmp_path / "half.pth").tensors["body.0.weight"]
    np.testing.assert_array_equal(found, weight.half().float().numpy())
    assert found.flags.c_contiguous


def test_safetensors_round_trip(tensors, tmp_path):
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    found = load_checkpoint(tmp_path / "x.safetensors")
    assert_same(found.tensors, tensors)
    assert found.origin == "file x.safetensors"


@pytest.mark.parametrize("named", ["x.param", "x.bin"])
def test_ncnn_pair_is_given_by_either_file(named, tensors, ncnn_pair, tmp_path):
    text, content = ncnn_pair(COMPACT, tensors, half=False)
    (tmp_path / "x.param").write_text(text)
    (tmp_path / "x.bin").write_bytes(content)
    found = load_checkpoint(tmp_path / named)
    assert_same(found.tensors, tensors)
    assert found.sha256 == sha256_bytes(content)
    assert found.files == {"x.param": sha256_bytes(text.encode()), "x.bin": found.sha256}


def test_content_decides_where_the_suffix_is_strange(tensors, torch_tensors, tmp_path):
    torch.save(torch_tensors, tmp_path / "pytorch_model.bin")
    torch.save(torch_tensors, tmp_path / "weights.dat")
    safetensors.numpy.save_file(tensors, tmp_path / "weights")
    for name in ("pytorch_model.bin", "weights.dat", "weights"):
        assert_same(load_checkpoint(tmp_path / name).tensors, tensors)


def write_safetensors(path, value):
    safetensors.torch.save_file({"a": value}, path)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        pytest.param("x.pth", lambda _: None, "cannot read the weights .*No such file", id="none"),
        pytest.param("x.pth", lambda p: p.mkdir(), "is a folder", id="folder"),
        pytest.param("x.pth", lambda p: p.write_bytes(b""), "x.pth is empty", id="empty"),
        pytest.param(
            "x.pth", lambda p: p.write_bytes(b"no checkpoint"), "x.pth is no plain|x.pth cannot",
            id="text",
        ),
        pytest.param(
            "x.pth", lambda p: torch.save(RunsCode(), p), "asks for code to be run", id="code"
        ),
        pytest.param(
            "x.pth", lambda p: p.write_bytes(pickle.dumps({"a": 1})), "x.pth", id="bare pickle"
        ),
        pytest.param("x.pth", lambda p: torch.save({}, p), "an empty state dict", id="no entries"),
        pytest.param("x.pth", lambda p: torch.save([1], p), "holds a list", id="list"),
        pytest.param(
            "x.pth", lambda p: torch.save({"params": {"a": 1}}, p),
            "entry 'params.a' is of type int", id="int",
        ),
        pytest.param(
            "x.pth", lambda p: torch.save({"a": torch.zeros(2, dtype=torch.int64)}, p),
            "tensor 'a' is torch.int64", id="integer tensor",
        ),
        pytest.param(
            "x.safetensors", lambda p: p.write_bytes(b"broken"), "as safetensors", id="broken"
        ),
        pytest.param(
            "x.safetensors", lambda p: write_safetensors(p, torch.zeros(2).to(torch.float8_e5m2)),
            "is F8_E5M2; expected F16, BF16",
            id="8-bit floating point",
        ),
        pytest.param(
            "x.safetensors", lambda p: write_safetensors(p, torch.zeros(2, dtype=torch.int8)),
            "tensor 'a' is I8", id="int8",
        ),
        pytest.param(
            "x.safetensors", lambda p: safetensors.numpy.save_file({}, p), "an empty state dict",
            id="void",
        ),
        pytest.param("x.onnx", lambda p: p.write_bytes(b"\x08\x08"), "no form known", id="onnx"),
        pytest.param(
            "x.param", lambda p: p.write_text("7767517\n0 0\n"), "x.bin", id="half a pair"
        ),
    ],
)  # fmt: skip
def test_unusable_file_is_one_clear_line(name, write, message, tmp_path, capfd):
    write(tmp_path / name)
    with pytest.raises(WeightsError, match=message) as refusal:
        load_checkpoint(tmp_path / name)
    assert "\n" not in str(refusal.value)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_pth_cut_off_is_refused(kept, torch_tensors, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(torch_tensors, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"x\.pth"):
        load_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(value, tensors, tmp_path):
    tensors["body.2.weight"][1, 0, 2, 2] = value
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"tensor 'body\.2\.weight' holds 1 values that are NaN"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("sha256", "official"),
    [
        pytest.param(None, None, id="no trusted hash"),
        pytest.param("0" * 64, False, id="fine-tuned"),
        pytest.param("own", True, id="official"),
    ],
)
def test_users_file_is_judged_by_the_trusted_hash(sha256, official, torch_tensors, tmp_path):
    path = tmp_path / "tiny.pth"
    torch.save({"params": torch_tensors}, path)
    if sha256 == "own":
        sha256 = sha256_bytes(path.read_bytes())
    entry = ModelEntry("tiny", COMPACT, "tiny.pth", "v0", sha256=sha256)
    assert load_model_checkpoint(entry, path).official is official


def test_packaged_weights_record_package_version_and_file(monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.network.weights.download.cache_folder", lambda: tmp_path)
    entry = find_model("animevideov3")
    found = load_model_checkpoint(entry)
    assert found.origin.startswith(f"package {WEIGHTS_PACKAGE} 1.")
    assert found.origin.endswith(", REALESRGAN_ANIMAVIDEOV3_UP4X.bin")
    assert set(found.files) == {
        "REALESRGAN_ANIMAVIDEOV3_UP4X.bin",
        "REALESRGAN_ANIMAVIDEOV3_UP4X.param",
    }
    assert found.official is None
    assert weights_at_hand(entry) == f"package {WEIGHTS_PACKAGE}"


def test_downloaded_official_file_is_found(monkeypatch, torch_tensors, tensors, tmp_path):
    monkeypatch.setattr("deploy.network.weights.download.cache_folder", lambda: tmp_path)
    assert weights_at_hand(ENTRY) is None
    (tmp_path / "v0").mkdir()
    torch.save(torch_tensors, tmp_path / "v0" / "tiny.pth")
    assert weights_at_hand(ENTRY) == "downloaded"
    found = load_model_checkpoint(ENTRY)
    assert_same(found.tensors, tensors)
    assert found.origin == "official file tiny.pth of release v0"


def test_no_weights_at_hand_says_where_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.network.weights.download.cache_folder", lambda: tmp_path)
    message = r"no weights at hand for 'x2plus': .*v0\.2\.1/RealESRGAN_x2plus\.pth .*--weights"
    with pytest.raises(WeightsError, match=message):
        load_model_checkpoint(find_model("x2plus"))


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.network.weights.download.cache_folder", lambda: tmp_path)
    monkeypatch.setattr(checkpoint_module, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=f"the package {WEIGHTS_PACKAGE} is"):
        load_model_checkpoint(find_model("x4plus"))


@pytest.mark.parametrize("position", [0.2, 0.5, 0.8])
def test_a_flipped_bit_of_a_weight_is_found(
    torch_tensors: dict[str, torch.Tensor], tmp_path: Path, position: float
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(torch_tensors, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    assert largest.filename.rpartition("/")[0].endswith("data")
    content[largest.header_offset + 200 + int(position * (largest.file_size - 200))] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # which takes it
    with pytest.raises(WeightsError, match=r"weights.pth is damaged: the checksum of .*data/"):
        load_checkpoint(path)
