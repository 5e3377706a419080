"""Somebody's ONNX file becomes a float model of ours that draws what the file draws."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError, UsageError
from calib.runtime import Session
from calib.tile import Tile
from deploy.network.exported import MIN_PSNR_DB, ExportedModel
from deploy.network.onnx_file import export
from deploy.network.onnx_file.export import export_onnx
from deploy.network.onnx_file.read import read_onnx_file
from deploy.network.onnx_network import OnnxNetwork
from tests.deploy.onnx_files import DYNAMIC, SCALE, small_model, sr_model, written

FIXED = (1, 3, 16, 24)
FORMS = {
    "dynamic": {},
    "fixed": {"shape": FIXED},
    "half": {"half": True},
    "half and fixed, unnamed": {"half": True, "shape": FIXED, "named_nodes": False},
    "named as ours are, the other way round": {"ends": ("output", "input")},
    "batch alone dynamic": {"shape": ("n", *FIXED[1:])},
}
CASES = [
    *((opset, form) for opset, form in zip(range(11, 24), 3 * [*FORMS], strict=False)),
    *((opset, "half") for opset in (11, 16, 18, 23)),
]


@pytest.fixture(scope="module")
def picture(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[:, :, :16, :24])


def drawn(exported: ExportedModel, values: np.ndarray) -> np.ndarray:
    return Session(exported.model, optimized=False).run({"input": values})["output"]


@pytest.mark.parametrize(("opset", "form"), CASES)
def test_every_opset_and_form(opset, form, picture, tmp_path) -> None:
    given = sr_model(opset, **FORMS[form])
    exported = export_onnx(read_onnx_file(written(tmp_path, given)), [picture])
    model = exported.model
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert (model.ir_version, exported.scale, exported.notes) == (8, SCALE, ())
    ends = [
        (e.name, e.type.tensor_type.elem_type) for e in (*model.graph.input, *model.graph.output)
    ]
    assert ends == [("input", 1), ("output", 1)]
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len({*names}) == len(names)
    assert exported.against_original.psnr_db > MIN_PSNR_DB
    values = np.random.default_rng(5).random(picture.shape, np.float32)
    dtype = np.float16 if "half" in form else np.float32
    name = given.graph.input[0].name
    (expected,) = ReferenceEvaluator(given).run(None, {name: values.astype(dtype)})
    atol = 2e-2 if dtype == np.float16 else 1e-5
    np.testing.assert_allclose(drawn(exported, values), expected, rtol=0, atol=atol)


def test_a_file_of_halves_is_its_values_in_float32_exactly(picture, tmp_path) -> None:
    half = sr_model(17, half=True)
    exported = export_onnx(read_onnx_file(written(tmp_path, half)), [picture])
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in half.graph.initializer}
    kept = {t.name: onnx.numpy_helper.to_array(t) for t in exported.model.graph.initializer}
    weights = [name for name, value in kept.items() if value.ndim == 4]
    assert len(weights) == 2
    for name in weights:
        np.testing.assert_array_equal(kept[name], stored[name].astype(np.float32))


def test_equal_files_give_equal_bytes(picture, tmp_path) -> None:
    path = written(tmp_path, sr_model(20))
    one, two = (export_onnx(read_onnx_file(path), [picture]).model for _ in range(2))
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def test_shared_constants_and_names_of_ours_inside(picture, tmp_path) -> None:
    text = """g (float[n,3,h,w] x) => (float[n,3,h,w] y)
        <float[3,3,1,1] eye = {1,0,0,0,1,0,0,0,1}>
        { input = Conv(x, eye) output = Relu(input) y = Conv(output, eye) }"""
    exported = export_onnx(read_onnx_file(written(tmp_path, small_model(text))), [picture])
    nodes = exported.model.graph.node
    assert [node.name for node in nodes] == ["Conv_0", "Relu_1", "Conv_2"]
    assert nodes[0].output[0] == "input_inner"
    assert [node.input[1] for node in nodes if node.op_type == "Conv"] == ["Conv_0.W", "Conv_2.W"]
    np.testing.assert_allclose(drawn(exported, picture), picture, atol=1e-6)


@pytest.mark.parametrize(
    ("through", "shown", "cut", "named"),
    [
        ((255.0, 0.0), (0.5, 0.5), (115.0, 255.0), r"\[0, 255\]"),
        ((2.0, -1.0), (0.2, 0.3), (-1.0, 0.0), r"\[-1, 1\]"),
    ],
)
def test_networks_of_another_range_are_refused(  # noqa: PLR0917  # a row of the table
    through, shown, cut, named, photo, tmp_path
) -> None:
    model = sr_model(17, through=through)
    # It cuts off what no picture like this one has in the range that it was trained on.
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.float32(value), name)
        for name, value in zip(("low", "high"), cut, strict=True)
    )
    model.graph.node[-1].output[0] = "uncut"
    model.graph.node.append(onnx.helper.make_node("Clip", ["uncut", "low", "high"], ["y"], "cut"))
    picture = photo[:, :, :32, :32] * np.float32(shown[0]) + np.float32(shown[1])
    with pytest.raises(GraphError, match=f"net.onnx takes values in {named}"):
        export_onnx(read_onnx_file(written(tmp_path, model)), [picture])


def test_a_network_that_draws_something_else_is_told_of(picture, tmp_path) -> None:
    text = "g (float[n,3,h,w] x) => (float[n,3,h,w] y) { a = Cos(x) b = Neg(a) y = Exp(b) }"
    exported = export_onnx(read_onnx_file(written(tmp_path, small_model(text))), [picture])
    (note,) = exported.notes
    assert "net.onnx draws something unlike the photograph" in note


DRAWS_NO_PICTURE = {
    "classifier": (
        "g (float[n,3,h,w] x) => (float[n,c] y) { a = GlobalAveragePool(x) y = Flatten(a) }",
        r"gives \[n, c\]; expected pictures",
    ),
    "features": (
        "g (float[n,3,h,w] x) => (float[n,c,h,w] y) { y = Concat<axis=1>(x, x) }",
        r"gives \[1, 6, 16, 24\] for a picture of \[1, 3, 16, 24\].*no super-resolution",
    ),
    "reduces": (
        "g (float[n,3,h,w] x) => (float[n,3,i,j] y)"
        "{ y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }",
        r"gives \[1, 3, 8, 12\]",
    ),
    "other axes": (
        "g (float[n,3,h,w] x) => (float[n,3,i,j] y) { y = Transpose<perm=[0,1,3,2]>(x) }",
        r"gives \[1, 3, 24, 16\]",
    ),
    "an integer inside": (
        "g (float[n,3,h,w] x) => (float[n,3,h,w] y)"
        "{ i = Cast<to=6>(x) f = Cast<to=1>(i) y = Add(x, f) }",
        r"computes 'i' as int32; expected floats",
    ),
}


@pytest.mark.parametrize(("text", "message"), DRAWS_NO_PICTURE.values(), ids=[*DRAWS_NO_PICTURE])
def test_what_draws_no_enlarged_picture_is_refused(text, message, picture, tmp_path) -> None:
    with pytest.raises(GraphError, match=message):
        export_onnx(read_onnx_file(written(tmp_path, small_model(text))), [picture])


NEWER = {
    "antialias": (
        """g (float[n,3,h,w] x) => (float[n,3,i,j] y) <float[4] s = {1,1,2,2}>
        { y = Resize<mode="linear", antialias=1>(x, , s) }""",
        "has antialias 1, which opset 17 lacks; opset 18 is brought to opset 17: export with",
    ),
    "operator": (
        """g (float[n,3,h,w] x) => (float[n,3,h,w] y) <int64[2] d = {16,24}>
        { y = CenterCropPad<axes=[2,3]>(x, d) }""",
        "operator CenterCropPad is newer than opset 17; opset 18 is brought",
    ),
}


@pytest.mark.parametrize(("text", "message"), NEWER.values(), ids=[*NEWER])
def test_what_our_opset_cannot_say_is_refused_by_name(text, message, picture, tmp_path) -> None:
    with pytest.raises(GraphError, match=message):
        export_onnx(read_onnx_file(written(tmp_path, small_model(text, 18))), [picture])


def test_a_size_that_the_network_cannot_take_is_refused(photo, tmp_path) -> None:
    text = """g (float[n,3,h,w] x) => (float[n,3,h,w] y) { a = SpaceToDepth<blocksize=4>(x)
        y = DepthToSpace<blocksize=4>(a) }"""
    file = read_onnx_file(written(tmp_path, small_model(text)))
    assert export_onnx(file, [photo[:, :, :16, :24]]).scale == 1
    with pytest.raises(GraphError, match=r"net\.onnx cannot take a picture of 18x24: .*--size"):
        export_onnx(file, [photo[:, :, :18, :24]])


def test_a_fixed_size_is_the_only_one(tmp_path) -> None:
    network = OnnxNetwork("net", None, read_onnx_file(written(tmp_path, sr_model(shape=FIXED))))
    network.require_fitting(Tile(16, 24, batch=2))
    with pytest.raises(UsageError, match=r"\[1, 3, 16, 24\] alone, .* build with --size 16x24"):
        network.require_fitting(Tile(32, 32))
    OnnxNetwork("net", None, read_onnx_file(written(tmp_path, sr_model()))).require_fitting(Tile())


def test_an_export_that_changes_the_network_is_caught(picture, tmp_path, monkeypatch) -> None:
    at_opset = export.at_opset

    def wrong(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        made = at_opset(model, opset)
        next(node for node in made.graph.node if node.op_type == "Relu").op_type = "Identity"
        return made

    monkeypatch.setattr(export, "at_opset", wrong)
    file = read_onnx_file(written(tmp_path, sr_model(shape=DYNAMIC)))
    with pytest.raises(GraphError, match=r"dB between the graph and net\.onnx"):
        export_onnx(file, [picture])


def test_widening_that_changes_the_network_is_caught(picture, tmp_path, monkeypatch) -> None:
    from deploy.network.onnx_file import original

    in_float32 = original.in_float32

    def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
        made = in_float32(model)
        next(node for node in made.graph.node if node.op_type == "Relu").op_type = "Identity"
        return made

    monkeypatch.setattr(original, "in_float32", wrong)
    file = read_onnx_file(written(tmp_path, sr_model(half=True)))
    with pytest.raises(GraphError, match=r"net\.onnx in float32 and as it is"):
        export_onnx(file, [picture])
