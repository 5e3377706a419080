"""What OpenVINO compiled once is loaded the next time, and draws the same to the bit."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from deploy.network.architecture import RRDBNet
from deploy.network.export import export_float
from deploy.runtime import openvino as module
from deploy.runtime.kept_compilations import find_compiled, keep_compiled
from deploy.runtime.openvino import openvino_runner

Array = np.ndarray


@pytest.fixture
def model(random_tensors: Callable[..., dict[str, Array]], photo: Array) -> onnx.ModelProto:
    architecture = RRDBNet(blocks=1, features=8, growth=4)
    return export_float(architecture, random_tensors(architecture), [photo]).model


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled, a word each; however quick that is, it is worth a file here."""
    core, words = module._core(), []

    class Counting:
        read_model, import_model = core.read_model, core.import_model

        def compile_model(self, *args: object) -> object:
            words.append("compiled")
            return core.compile_model(*args)

    monkeypatch.setattr(module, "_core", Counting)
    monkeypatch.setattr(module, "_KEPT_FROM_S", 0)
    return words


def test_loaded_instead_of_compiled(
    model: onnx.ModelProto, photo: Array, tmp_path: Path, compiled: list[str]
) -> None:
    first = openvino_runner(model, kept=tmp_path / "compiled")(photo)
    second = openvino_runner(model, kept=tmp_path / "compiled")(photo)
    assert compiled == ["compiled"]
    np.testing.assert_array_equal(second, first)
    np.testing.assert_array_equal(openvino_runner(model)(photo), first)


def test_other_settings_and_other_models_are_compiled(
    model: onnx.ModelProto, photo: Array, tmp_path: Path, compiled: list[str]
) -> None:
    openvino_runner(model, kept=tmp_path)
    openvino_runner(model, {"INFERENCE_NUM_THREADS": "1"}, kept=tmp_path)
    weights = model.graph.initializer[0]
    weights.raw_data = bytes(len(weights.raw_data))
    drawn = openvino_runner(model, kept=tmp_path)(photo)
    assert len(compiled) == 3
    np.testing.assert_array_equal(drawn, openvino_runner(model)(photo))


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "of another runtime"])
def test_damaged_files_count_as_none(
    model: onnx.ModelProto, photo: Array, tmp_path: Path, compiled: list[str], damage: str
) -> None:
    drawn = openvino_runner(model, kept=tmp_path)(photo)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "emptied":
        file.write_bytes(b"")
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        keep_compiled(tmp_path, file.stem, b"\0" * 4096)
    again = openvino_runner(model, kept=tmp_path)(photo)
    assert len(compiled) == 2
    np.testing.assert_array_equal(again, drawn)


def test_where_nothing_can_be_kept(
    model: onnx.ModelProto, photo: Array, tmp_path: Path, compiled: list[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    drawn = openvino_runner(model, kept=tmp_path / "file" / "compiled")(photo)
    np.testing.assert_array_equal(drawn, openvino_runner(model)(photo))


def test_quick_compilations_are_not_kept(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_FROM_S", 1e9)
    openvino_runner(model, kept=tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_longest_unused_go(tmp_path: Path) -> None:
    for number in range(4):
        keep_compiled(tmp_path, f"name-{number}", b"x" * 1000, most_bytes=1 << 20)
        stamp = 1_000_000_000 + number
        os.utime(tmp_path / f"name-{number}.npz", (stamp, stamp))
    assert find_compiled(tmp_path, "name-0") == b"x" * 1000  # and is the newest from here on
    keep_compiled(tmp_path, "name-4", b"y" * 1000, most_bytes=3000)
    assert {file.stem for file in tmp_path.iterdir()} == {"name-0", "name-4"}
    assert find_compiled(tmp_path, "name-3") is None
