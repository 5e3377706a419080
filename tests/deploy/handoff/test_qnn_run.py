"""qnn_run.py runs the golden inputs: on the CPU as it is, on a chip through a plugin."""

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from deploy.handoff import standalone
from deploy.metrics.psnr_ssim import parity_db

sys.path.append(str(Path(standalone.__file__).parent))  # as Python does with a script's folder
from deploy.handoff.standalone import qnn_run

NAME = "QNNExecutionProvider"


@pytest.fixture
def folder(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the vendor, beside the golden inputs that the script reads."""
    shutil.copytree(unpacked / "golden", tmp_path / "golden")
    (tmp_path / "m.onnx").write_bytes(b"")
    monkeypatch.setattr(qnn_run, "HERE", tmp_path / "qnn")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["qnn_run.py", *map(str, words)])
    qnn_run.main()


def test_on_the_cpu_the_file_draws_what_it_means(
    unpacked: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = unpacked / "models" / "small-int8-qnn.onnx", folder / "returned"
    run(monkeypatch, model, "--backend", "CPU", "--first", 2, "--out", out)
    inputs = sorted((folder / "golden" / "input").glob("*.npy"))
    assert sorted(path.name for path in out.iterdir()) == [path.name for path in inputs[:2]]
    for path in out.iterdir():
        golden = np.load(folder / "golden" / "int8-qnn" / path.name)
        assert parity_db(np.load(path), golden) > 40.0


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A plugin as onnxruntime-qnn 2 is one; what it is asked for."""
    asked: dict[str, object] = {}
    module = ModuleType("onnxruntime_qnn")
    module.__dict__.update(
        get_ep_name=lambda: NAME,
        get_library_path=lambda: "plugin.so",
        get_qnn_htp_path=lambda: "libQnnHtp.so",
    )
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", module)

    class Options:
        def add_session_config_entry(self, key: str, value: str) -> None:
            asked[key] = value

        def add_provider_for_devices(self, devices: list[object], settings: object) -> None:
            asked["devices"], asked["settings"] = devices, settings

    def session(path: str, options: Options) -> SimpleNamespace:
        asked["model"] = path
        return SimpleNamespace(run=lambda _, feeds: [feeds["input"]])

    devices = [SimpleNamespace(ep_name=name) for name in ("CPUExecutionProvider", NAME)]
    for name, value in {
        "register_execution_provider_library": lambda *given: asked.update(registered=given),
        "get_ep_devices": lambda: devices,
        "SessionOptions": Options,
        "InferenceSession": session,
    }.items():
        monkeypatch.setattr(onnxruntime, name, value, raising=False)
    return asked


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ((), {"backend_path": "libQnnHtp.so"}),
        (("--backend", "QnnHtp.dll"), {"backend_path": "QnnHtp.dll"}),
        (
            ("--soc-model", "57", "--htp-arch", "75"),
            {"backend_path": "libQnnHtp.so", "soc_model": "57", "htp_arch": "75"},
        ),
    ],
    ids=["as the package says", "another library", "another chip"],
)
def test_the_plugin_is_registered_and_nothing_falls_back(
    words: tuple[str, ...],
    settings: dict[str, str],
    folder: Path,
    plugin: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(monkeypatch, folder / "m.onnx", *words, "--first", 1, "--out", folder / "returned")
    assert plugin["registered"] == (NAME, "plugin.so")
    assert [device.ep_name for device in plugin["devices"]] == [NAME]
    assert plugin["settings"] == settings
    assert plugin["session.disable_cpu_ep_fallback"] == "1"
    assert len(list((folder / "returned").iterdir())) == 1


def test_a_package_that_is_missing_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", None)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, folder / "m.onnx", "--out", folder / "returned")
    assert "pip install onnxruntime onnxruntime-qnn" in capsys.readouterr().err
    assert not (folder / "returned").exists()


def test_a_machine_without_a_device_is_named(
    folder: Path,
    plugin: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, folder / "m.onnx", "--out", folder / "returned")
    assert "finds no device here" in capsys.readouterr().err
    assert plugin["registered"] == (NAME, "plugin.so")
