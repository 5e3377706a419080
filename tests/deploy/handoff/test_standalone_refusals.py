"""Each script of a bundle says in one line what it cannot use, and leaves with status 2."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from deploy.handoff import standalone

SCRIPTS = {path.name for path in Path(standalone.__file__).parent.glob("*.py")} - {
    "__init__.py",
    "array_files.py",
    "web_serve.py",  # takes no file; tests/deploy/handoff/vendors/test_web.py asks it for some
}
WRONG = ("absent file", "directory", "no picture", "wrong shape", "unwritable output")
FOLDERS = {
    "processing.py": "",
    "tiles.py": "",
    "prepare_calibration.py": "calibration",
    "ncnn_run.py": "ncnn",
    "openvino_run.py": "openvino",
    "qnn_run.py": "qnn",
    "rknn_run.py": "rknn",
    "trtexec_outputs.py": "tensorrt",
}


def refuse_others(given: list[np.ndarray], data_format: object) -> list[np.ndarray]:
    """Compute as a toolkit that refuses every input that is no picture of bytes."""
    if given[0].shape != (1, 128, 128, 3):
        raise ValueError(f"The input is {given[0].shape}\nexpected (1, 128, 128, 3)")
    return [np.zeros((1, 3, 256, 256), np.float32)]


def fake_rknn(verbose: bool) -> SimpleNamespace:
    """Return a toolkit that takes every file."""
    steps = ("config", "load_onnx", "build", "export_rknn", "init_runtime")
    toolkit = SimpleNamespace(inference=refuse_others)
    for step in steps:
        setattr(toolkit, step, lambda *_, **__: 0)
    return toolkit


@pytest.fixture(scope="module")
def bundle(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder, with what is wrong lying beside it."""
    root = tmp_path_factory.mktemp("vendor")
    shutil.copytree(unpacked, root / "bundle", ignore=shutil.ignore_patterns("*.whl", "int8-*"))
    (root / "file").write_text("a file")
    (root / "no-picture").write_text("no picture")
    for name in ("photos", "inputs", "empty", "tiles", "drawn"):
        (root / name).mkdir(parents=True)
    cv2.imwrite(str(root / "photos" / "a.png"), np.zeros((9, 9, 3), np.uint8))
    np.save(root / "inputs" / "0000.npy", np.zeros((1, 5, 7), np.float32))
    np.save(root / "picture.npy", np.zeros((1, 3, 8, 8), np.float32))
    np.save(root / "drawn" / "0000.npy", np.zeros((1, 3, 256, 256), np.float32))
    network = json.loads((root / "bundle" / "manifest.json").read_text())["network"]
    record = {"height_px": 9, "width_px": 9, "gray": False, "margin_px": None, "network": network}
    (root / "tiles" / "tiles.json").write_text(json.dumps(record))
    listed = [{"name": "output", "dimensions": "1x3x2x2", "values": [0.0]}]
    (root / "short.json").write_text(json.dumps(listed))
    listed[0]["values"] = [0.0] * 12
    (root / "whole.json").write_text(json.dumps(listed))
    patches = json.loads((root / "bundle" / "calibration" / "patches.json").read_text())
    patches["patches"][0]["name"] = "a.png@0,0"
    (root / "bundle" / "calibration" / "patches.json").write_text(json.dumps(patches))
    return root


def cases(script: str, wrong: str, root: Path) -> list[list[str]]:
    """Return command lines of a script, each with one thing wrong."""
    bundle, out = root / "bundle", ["--out", str(root / "out")]
    given = {"absent file": "absent", "directory": "photos", "no picture": "no-picture"}
    place = str(root / given.get(wrong, "file"))
    models = {
        "ncnn_run.py": bundle / "ncnn" / "small-fp32.param",
        "openvino_run.py": bundle / "openvino" / "small-fp32.xml",
        "qnn_run.py": bundle / "models" / "small-fp32.onnx",
    }
    photo, array = str(root / "photos" / "a.png"), str(root / "picture.npy")
    unwritable = str(root / "file" / "below.png")
    if script == "processing.py":
        return {
            "wrong shape": [["output", str(root / "inputs" / "0000.npy"), str(root / "x.png")]],
            "unwritable output": [["input", photo, unwritable], ["output", array, unwritable]],
        }.get(wrong, [["input", place, "x.npy"], ["output", place, "x.png"]])
    if script == "tiles.py":
        folder, drawn, large = str(root / "tiles"), str(root / "drawn"), str(root / "large.png")
        return {
            "no picture": [["cut", place, "x"], ["join", place, drawn, large]],
            "wrong shape": [["join", folder, str(root / "inputs"), large]],
            "unwritable output": [["cut", photo, unwritable], ["join", folder, drawn, unwritable]],
        }.get(
            wrong,
            [["cut", place, "x"], ["join", place, drawn, large], ["join", folder, place, large]],
        )
    if script == "prepare_calibration.py":
        return {
            "directory": [["--photos", str(root / "empty")]],
            "wrong shape": [["--photos", str(root / "photos")]],
            "unwritable output": [["--form", "raw", "--out", unwritable]],
        }.get(wrong, [["--photos", place]])
    if script == "trtexec_outputs.py":
        whole = str(root / "whole.json")
        return {
            "wrong shape": [[str(root / "short.json"), *out]],
            "unwritable output": [[whole, "--out", unwritable], [whole, "--out", whole]],
        }.get(wrong, [[place, *out]])
    model = ["--route", "float"] if script == "rknn_run.py" else [str(models[script])]
    model += ["--backend", "CPU"] if script == "qnn_run.py" else []
    found = {
        "wrong shape": [[*model, "--inputs", str(root / "inputs"), *out]],
        "unwritable output": [[*model, "--out", unwritable], [*model, "--out", array]],
    }.get(wrong, [[*model, "--inputs", place, *out]])
    if script in models and wrong in given:
        found.append([place, *model[1:], *out])
    return found


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rknn_run.py find a toolkit."""
    package, api = ModuleType("rknn"), ModuleType("rknn.api")
    api.RKNN = fake_rknn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rknn", package)
    monkeypatch.setitem(sys.modules, "rknn.api", api)


def test_every_script_is_tried() -> None:
    assert {*FOLDERS} == SCRIPTS


@pytest.mark.usefixtures("toolkit")
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("script", sorted(FOLDERS))
def test_what_cannot_be_used_is_one_line(
    script: str,
    wrong: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = bundle / "bundle" / FOLDERS[script] / script
    monkeypatch.chdir(bundle)
    for words in cases(script, wrong, bundle):
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        for name in ("processing", "array_files"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(sys, "argv", [str(path), *words])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(path), run_name="__main__")
        shown = capsys.readouterr().err
        assert left.value.code == 2, (words, shown)
        assert shown.count("\n") == 1, (words, shown)
        assert shown.startswith(f"{script}: "), shown


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_bundle_stays_as_it_was_handed_over(script: str, bundle: Path, tmp_path: Path) -> None:
    """Python would keep what it compiles beside a script, in a file that no manifest names.

    It does so before that runs: so each script forbids it, and no module that several import can.
    """
    (tmp_path / "rknn").mkdir()  # a toolkit that the script gets past
    (tmp_path / "rknn" / "api.py").write_text("RKNN = None")
    path = bundle / "bundle" / FOLDERS[script] / script
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    plain["PYTHONPATH"] = str(tmp_path)
    ran = subprocess.run([sys.executable, path], check=False, capture_output=True, env=plain)
    assert b"Traceback" not in ran.stderr or b"No module named" in ran.stderr
    assert not [*(bundle / "bundle").rglob("__pycache__")]
