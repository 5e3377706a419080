"""Our ranges take the place of nncase's in its quantization scheme, weights channel by channel."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from deploy.simulate.toolchain import driver


def span(low: float, high: float) -> dict:
    return {"Min": low, "Max": high, "IsFull": False}


def entry(name: str, mode: str, *ranges: dict) -> dict:
    return {"Name": name, "DataRange": [*ranges], "DataType": "u8", "DataRangeMode": mode}


SCHEME = {
    "Version": "1.0",
    "Model": None,
    "Outputs": [
        entry("input", "by_tensor", span(0.0, 0.9)),
        entry("w", "by_channel", span(-0.1, 0.7), span(-3.0, 2.0)),
        entry("a", "by_tensor", span(-1.0, 1.0)),
    ],
}


@pytest.fixture
def scheme(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(driver("kendryte_scheme.py").parent)
    for name in ("kendryte_scheme", "our_ranges"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("kendryte_scheme")


def encodings(folder: Path, weight: list[float], **activations: tuple[float, int]) -> Path:
    """Return AIMET's JSON of a weight ``w`` and of activations by scale and offset."""
    acts = [
        {"name": name, "scale": [scale], "offset": [offset], "bw": 8}
        for name, (scale, offset) in activations.items()
    ]
    offsets = [-128] * len(weight)
    params = [{"name": "w", "scale": weight, "offset": offsets, "bw": 8}]
    path = folder / "e.json"
    path.write_text(json.dumps({"activation_encodings": acts, "param_encodings": params}))
    return path


def test_ours_stand_where_we_have_them_and_the_rest_stays(
    scheme: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = encodings(tmp_path, [0.5, 0.25], input=(1 / 256, 0))
    made = json.loads(scheme.with_ours(json.dumps(SCHEME), ours))
    first, weight, kept = made["Outputs"]
    assert first["DataRange"] == [span(0.0, 255 / 256)]
    assert weight["DataRange"] == [span(-64.0, 63.5), span(-32.0, 31.75)]
    assert kept == SCHEME["Outputs"][2]
    assert {key: made[key] for key in ("Version", "Model")} == {"Version": "1.0", "Model": None}
    assert capsys.readouterr().out == "2 ranges are ours; the toolchain's are a\n"


def test_a_weight_of_the_range_keeps_its_codes(scheme: ModuleType, tmp_path: Path) -> None:
    scale = 0.0037
    made = json.loads(
        scheme.with_ours(json.dumps(SCHEME), encodings(tmp_path, [scale, 0.25], a=(0.1, -7)))
    )
    codes = np.arange(-128, 128)
    (low, high) = (made["Outputs"][1]["DataRange"][0][key] for key in ("Min", "Max"))
    step = (high - low) / 255
    zero = np.rint(-low / step)
    assert (np.rint(codes * scale / step) + zero).tolist() == list(range(256))
    assert step == pytest.approx(scale)


def test_a_weight_of_other_channels_is_not_taken(scheme: ModuleType, tmp_path: Path) -> None:
    ours = encodings(tmp_path, [0.5], a=(0.1, -7))
    made = json.loads(scheme.with_ours(json.dumps(SCHEME), ours))
    assert made["Outputs"][1] == SCHEME["Outputs"][1]
    assert made["Outputs"][2] != SCHEME["Outputs"][2]


def test_a_scheme_without_any_of_ours_is_refused(scheme: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no tensor of the quantization scheme has a range"):
        scheme.with_ours(json.dumps(SCHEME), encodings(tmp_path, [], other=(1.0, 0)))
