"""What people hold in place of weights is named for what it is, and --model is found or told."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from calib.errors import UsageError, WeightsError
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.known_models import MODELS, find_model, model_name, models_of
from deploy.network.weights import naming
from deploy.network.weights.checkpoint import load_checkpoint
from deploy.network.weights.identify import require_model
from deploy.network.weights.naming import named_model
from deploy.progress import Silent


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(range(256)) * 8)
    return stream.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 67040989\n"
FOREIGN = {
    "empty": (b"", "is empty"),
    "web page": (b"\n<!DOCTYPE html><html>Not found</html>", "is a web page"),
    "bare html": (b"<html><body></body></html>", "is a web page"),
    "pointer": (POINTER, "is a Git LFS pointer"),
    "gzip": (gzip.compress(b"weights"), "is a gzip archive"),
    "cut zip": (zipped()[:900], "is cut short after 900 bytes"),
}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".bin"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_named(kind: str, suffix: str, tmp_path: Path) -> None:
    content, message = FOREIGN[kind]
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as found:
        load_checkpoint(path)
    assert "weights_only" not in str(found.value)


def test_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pth").mkdir()
    with pytest.raises(WeightsError, match="is a folder"):
        load_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_half_a_safetensors_is_named(share: float, tiny_weights: Path, tmp_path: Path) -> None:
    content = tiny_weights.read_bytes()
    path = tmp_path / "half.safetensors"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match=r"is cut short after \d+ bytes"):
        load_checkpoint(path)


@pytest.mark.parametrize(("given", "lacking"), [(".bin", ".param"), (".param", ".bin")])
def test_half_an_ncnn_pair_is_named(given: str, lacking: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{given}"
    path.write_bytes(
        b"7767517\n0 0\n" if given == ".param" else bytes.fromhex("476b3001") + bytes(64)
    )
    with pytest.raises(WeightsError, match=rf"net{given} has no net{lacking} beside it"):
        load_checkpoint(path)


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_official_names_stand_for_ours(entry) -> None:
    for name in (entry.name, entry.official_name, entry.official_file):
        assert find_model(name) is entry
        assert model_name(name) == entry.name
        assert named_model(name, None, Silent()) == entry.name
    assert entry.name in models_of(entry.architecture)


def test_weights_of_another_network_are_told_what_they_fit() -> None:
    with pytest.raises(WeightsError, match="they fit --model animevideov3"):
        require_model(SRVGG(convs=16, features=64, scale=4), find_model("x4plus"))
    with pytest.raises(WeightsError, match="or leave --model out"):
        require_model(RRDBNet(blocks=1, features=8, growth=4), find_model("x4plus"))


def test_weights_name_the_model_where_nobody_does(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "my fine (tune).safetensors"
    save_file(load_file(tiny_weights), own)
    assert named_model(None, own, Silent()) == "my-fine-tune"
    assert named_model("mine", own, Silent()) == "mine"
    told: list[str] = []
    monkeypatch.setattr(Silent, "note", lambda _, line: told.append(line))
    assert named_model(None, own, Silent(), own_name="called") == "my-fine-tune"
    assert told == []
    for half in (".param", ".bin"):
        (tmp_path / "pair").with_suffix(half).write_bytes(half.encode())
    digests = {own: find_model("x2plus").sha256}
    digests[tmp_path / "pair.bin"] = find_model("animevideov3").packaged_sha256
    monkeypatch.setattr(naming, "sha256_file", lambda path: digests[path])
    assert named_model(None, own, Silent()) == "x2plus"
    for half in (".param", ".bin"):
        assert named_model(None, tmp_path / f"pair{half}", Silent()) == "animevideov3"
    for model, weights in ((None, None), ("mine", None), (None, tmp_path / "...")):
        with pytest.raises(UsageError):
            named_model(model, weights, Silent())
