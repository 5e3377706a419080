"""Weights that the package names itself are parsed only where they are the known files."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from calib.digest import sha256_file
from calib.errors import WeightsError
from deploy.network.known_models import MODELS, ModelEntry
from deploy.network.weights import checkpoint
from deploy.network.weights.checkpoint import load_model_checkpoint, packaged_pair

PACKAGED = [entry for entry in MODELS if entry.packaged_stem]
OFFICIAL = [entry for entry in MODELS if entry.sha256]


@pytest.fixture(autouse=True)
def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: object) -> None:
        raise AssertionError("parsed")

    for name in ("attach_weights", "_read_single_file", "require_weights_file"):
        monkeypatch.setattr(checkpoint, name, parsed)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
@pytest.mark.parametrize("entry", PACKAGED, ids=lambda entry: entry.name)
def test_a_packaged_file_that_is_another_is_refused(
    entry: ModelEntry, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = packaged_pair(entry)
    assert packaged is not None
    for half in (".param", ".bin"):
        shutil.copy(packaged.with_suffix(half), tmp_path)
    spoiled = (tmp_path / packaged.name).with_suffix(suffix)
    content = bytearray(spoiled.read_bytes())
    content[-1] ^= 1
    spoiled.write_bytes(content)
    monkeypatch.setattr(checkpoint, "packaged_pair", lambda _: tmp_path / packaged.name)
    if suffix == ".bin":  # its other half is read first, and is good
        monkeypatch.setattr(checkpoint, "require_weights_file", lambda *_: None)
    with pytest.raises(WeightsError, match=rf"{spoiled.name} is not the known .*--force-reinstall"):
        load_model_checkpoint(entry)


@pytest.mark.parametrize("entry", PACKAGED, ids=lambda entry: entry.name)
def test_what_the_package_holds_is_what_is_known(entry: ModelEntry) -> None:
    packaged = packaged_pair(entry)
    assert packaged is not None
    assert sha256_file(packaged) == entry.packaged_sha256
    assert sha256_file(packaged.with_suffix(".param")) == entry.packaged_param_sha256


@pytest.mark.parametrize("entry", OFFICIAL, ids=lambda entry: entry.name)
def test_a_downloaded_file_that_is_another_is_refused(
    entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / entry.official_file
    cached.write_bytes(b"another")
    monkeypatch.setattr(checkpoint, "cached_file", lambda _: cached)
    with pytest.raises(WeightsError, match=rf"{entry.official_file} is not .*models --download"):
        load_model_checkpoint(replace(entry, packaged_stem=None))
