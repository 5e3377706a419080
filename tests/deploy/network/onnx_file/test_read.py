"""What no network from picture to picture is refused in one sentence."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from calib.errors import GraphError
from deploy.network.onnx_file.read import read_onnx_file
from tests.deploy.onnx_files import DYNAMIC, small_model, sr_model, written

ENDS = {
    "two channels": ("float[n,2,h,w] x", "float[n,2,h,w] y", r"takes 2 channels, \[n, 2, h, w\]"),
    "gray of RGB": ("float[n,3,h,w] x", "float[n,1,h,w] y", "takes 3 channels and gives 1;"),
    "alpha": ("float[n,4,h,w] x", "float[n,4,h,w] y", "takes 4 channels,.*expected RGB"),
    "channels last": ("float[n,h,w,3] x", "float[n,h,w,3] y", None),
    "channels last, fixed": ("float[1,64,64,3] x", "float[1,64,64,3] y", r"\(NCHW\)"),
    "no batch": ("float[3,h,w] x", "float[3,h,w] y", r"takes \[3, h, w\]; expected pictures"),
    "four at once": ("float[4,3,h,w] x", "float[4,3,h,w] y", "4 pictures at once;.*--batch"),
    "bytes": ("uint8[n,3,h,w] x", "uint8[n,3,h,w] y", "takes uint8; expected float32 or float16"),
    "doubles": ("double[n,3,h,w] x", "double[n,3,h,w] y", "takes float64; expected float32"),
    "two in": ("float[n,3,h,w] x, float[1] noise", "float[n,3,h,w] y", r"2 inputs \(x, noise\)"),
    "two out": ("float[n,3,h,w] x", "float[n,3,h,w] y, float[n,3,h,w] z", r"2 outputs \(y, z\)"),
}


@pytest.mark.parametrize(
    ("taken", "given", "message"),
    [case for case in ENDS.values() if case[2]],
    ids=[name for name, case in ENDS.items() if case[2]],
)
def test_other_ends_are_refused(taken, given, message, tmp_path) -> None:
    second = " z = Identity(x)" if " z" in given else ""
    model = small_model(f"g ({taken}) => ({given}) {{ y = Identity(x){second} }}")
    with pytest.raises(GraphError, match=f"net.onnx .*{message}"):
        read_onnx_file(written(tmp_path, model))


@pytest.mark.parametrize(("said", "channels"), [("1", 1), ("3", 3), ("c", 3)])
def test_channels_are_those_of_the_input(said, channels, tmp_path) -> None:
    model = small_model(
        f"g (float[n,{said},h,w] x) => (float[n,{said},h,w] y) {{ y = Identity(x) }}"
    )
    assert read_onnx_file(written(tmp_path, model)).channels == channels


def spoiled(change) -> onnx.ModelProto:
    model = sr_model()
    change(model)
    return model


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def foreign(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[2].domain = "com.microsoft"
    model.graph.node[2].op_type = "FusedConv"


def quantized(model: onnx.ModelProto) -> None:
    steps = [
        helper.make_node("QuantizeLinear", ["t0", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "d"),
    ]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.1), "s"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.uint8(0), "z"))
    for place, node in enumerate(steps):
        model.graph.node.insert(1 + place, node)


def unknown(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Convolve"


SPOILED = {
    "weights elsewhere": (
        outside,
        r"keeps tensor .* in another file, which is not read; save it as one",
    ),
    "a runtime's operators": (foreign, r"operators of com\.microsoft \(FusedConv\)"),
    "quantized": (quantized, r"is quantized already \(DequantizeLinear, QuantizeLinear\)"),
    "no such operator": (unknown, "is no valid ONNX model: .*Convolve"),
}


@pytest.mark.parametrize(("change", "message"), SPOILED.values(), ids=[*SPOILED])
def test_other_graphs_are_refused(change, message, tmp_path) -> None:
    with pytest.raises(GraphError, match=f"net.onnx .*{message}"):
        read_onnx_file(written(tmp_path, spoiled(change)))


@pytest.mark.parametrize("content", [b"", b"<html>", sr_model().SerializeToString()[:900]])
def test_other_files_are_refused(content, tmp_path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"net\.onnx (is no|has 0 inputs|is no valid)"):
        read_onnx_file(path)
    with pytest.raises(GraphError, match="cannot read"):
        read_onnx_file(tmp_path / "missing.onnx")


def test_what_the_file_says_of_itself(tmp_path) -> None:
    found = read_onnx_file(written(tmp_path, sr_model(14, half=True, ends=("a", "b"))))
    assert (found.taken.name, found.given.name, found.taken.dtype) == ("a", "b", "float16")
    assert (found.opset, found.taken.shape, found.is_half) == (14, tuple(DYNAMIC), True)
    assert not read_onnx_file(written(tmp_path, sr_model(14))).is_half


def test_functions_of_its_own_are_spelled_out(tmp_path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
        g (float[n,3,h,w] x) => (float[n,3,h,w] y) { y = mine.twice(x) }
        <domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }"""
    )
    found = read_onnx_file(written(tmp_path, model))
    assert [node.op_type for node in found.model.graph.node] == ["Add"]
