"""Our ranges take the place of TPU-MLIR's, by the names that it gives tensors."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from deploy.simulate.toolchain import driver

TABLE = """# mlir: net.mlir
input 1.0000000 0.0000000 1.0000000
a_Conv 17.0000000 -17.0000000 16.0000000
b_Relu 3.0000000 0.0000000 3.0000000
"""
MODEL = """<ir_version: 8, opset_import: ["" : 17]>
two (float[1,3,4,4] input, float[3,3,1,1] w) => (float[1,3,4,4] b) {
    a = Conv(input, w)
    b = Relu(a)
}"""


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(driver("sophgo_build.py").parent)
    for name in ("sophgo_build", "sophgo_tools", "golden_job", "our_ranges"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("sophgo_build")


def ranges_of(build: ModuleType, folder: Path, **spans: tuple[float, int]) -> dict:
    onnx.save(onnx.parser.parse_model(MODEL), folder / "model.onnx")
    entries = [
        {"name": name, "scale": [scale], "offset": [offset], "bw": 8}
        for name, (scale, offset) in spans.items()
    ]
    (folder / "e.json").write_text(json.dumps({"activation_encodings": entries}))
    return build.ours(folder / "e.json", folder / "model.onnx")


def test_a_row_of_ours_has_our_range_and_others_stay(
    build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranges = ranges_of(build, tmp_path, input=(1 / 255, 0), a=(0.125, -128))
    head, first, conv, relu = build.with_ours(TABLE, ranges).splitlines()
    assert (head, relu) == (TABLE.splitlines()[0], TABLE.splitlines()[3])
    assert first == "input 1.0000000 0.0000000 1.0000000"
    assert conv == "a_Conv 16.0000000 -16.0000000 15.8750000"
    assert capsys.readouterr().out == "2 ranges are ours; the toolchain's are b_Relu\n"


def test_a_table_without_any_of_ours_is_refused(build: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no tensor of the calibration table has a range of ours"):
        build.with_ours(TABLE, ranges_of(build, tmp_path, other=(1.0, 0)))
