"""What is no ONNX model is refused in one line, whatever it is and whatever it is called."""

from pathlib import Path

import onnx
import pytest

from calib.errors import GraphError
from deploy.artifacts.onnx_files import load_model, read_model


@pytest.mark.parametrize("suffix", [".onnx", ".json", ".textproto", ".onnxtxt", ".pbtxt", ""])
def test_a_model_is_read_whatever_it_is_called(suffix: str, built: Path, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes((built / "tiny-fp32.onnx").read_bytes())
    assert load_model(path) == onnx.load(built / "tiny-fp32.onnx")
    assert read_model(path).graph.node


@pytest.mark.parametrize("name", ["tiny-fp32.onnx", "tiny-fp16.onnx", "tiny-int8-ort.onnx"])
def test_a_name_that_is_no_text_is_refused(name: str, built: Path, tmp_path: Path) -> None:
    content = bytearray((built / name).read_bytes())
    content[content.index(b"conv_last") + 1] |= 0x80
    path = tmp_path / name
    path.write_bytes(content)
    for reader in (load_model, read_model):
        with pytest.raises(GraphError, match=f"{name} is no ONNX model, it is truncated or dam"):
            reader(path)


def test_every_byte_of_the_names_may_be_spoilt(built: Path, tmp_path: Path) -> None:
    original = (built / "tiny-fp32.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    first = original.index(b"conv_first")
    refused = []
    for offset in range(first - 20, first + 60):
        content = bytearray(original)
        content[offset] ^= 0x80
        path.write_bytes(content)
        try:
            read_model(path)
        except GraphError as error:  # anything else is what this test looks for
            refused.append(str(error))
    assert len(refused) > 40
    assert [reason for reason in refused if "\n" in reason] == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"no model", b"\x00" * 64], ids=["empty", "JSON", "text", "zeros"]
)
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"model\.onnx is no ONNX model"):
        read_model(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"cannot read .*absent\.onnx: No such file"):
        load_model(tmp_path / "absent.onnx")
