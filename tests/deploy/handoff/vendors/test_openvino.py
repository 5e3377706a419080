import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.errors import GraphError, UsageError
from calib.form import Form
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.metrics.psnr_ssim import parity_db
from deploy.progress import Silent

pytest.importorskip("openvino", reason="needs OpenVINO: install the extra openvino")

from deploy.runtime.openvino import ir_runner, write_ir  # an import error without OpenVINO


def test_the_float_ir_is_the_float_network(unpacked: Path) -> None:
    run = ir_runner(unpacked / "openvino" / "small-fp32.xml", Form())
    for vector in read_contents(unpacked).golden[:2]:
        expected = np.load(unpacked / golden_path("float", vector.name))
        found = run(np.load(unpacked / golden_path("input", vector.name)))
        assert parity_db(expected, found) >= 80


def test_the_int8_ir_holds_integers(unpacked: Path) -> None:
    floating, quantized = (
        (unpacked / "openvino" / f"small-{precision}.bin").stat().st_size
        for precision in ("fp32", "int8")
    )
    assert quantized < 0.6 * floating


def test_an_ir_written_twice_has_the_same_bytes(unpacked: Path, tmp_path: Path) -> None:
    for precision, name in (("fp32", "small-fp32"), ("int8", "small-int8-openvino")):
        model = onnx.load(unpacked / "models" / f"{name}.onnx")
        write_ir(model, tmp_path / f"small-{precision}.xml")
        for suffix in (".xml", ".bin"):
            file = f"small-{precision}{suffix}"
            assert (tmp_path / file).read_bytes() == (unpacked / "openvino" / file).read_bytes()


def test_the_bundles_own_script_runs_it(unpacked: Path, tmp_path: Path) -> None:
    script, xml = (unpacked / "openvino" / name for name in ("openvino_run.py", "small-fp32.xml"))
    command = [sys.executable, script, xml, "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    vector = read_contents(unpacked).golden[0]
    expected = np.load(unpacked / golden_path("float", vector.name))
    found = np.load(tmp_path / f"{vector.name}.npy")
    assert parity_db(np.clip(expected, 0, 1), np.clip(found, 0, 1)) > 40  # as the CPU likes it


def test_without_openvino_the_extra_is_named(
    small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "deploy.runtime.openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"pip install 'openvino>="):
        make_handoff(HandoffRequest(small_build, ("openvino",), out=tmp_path / "x.zip"), Silent())


def test_a_damaged_ir_is_named(unpacked: Path, tmp_path: Path) -> None:
    text = (unpacked / "openvino" / "small-fp32.xml").read_text()
    (tmp_path / "x.xml").write_text(text[: len(text) // 2])
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(GraphError, match=r"OpenVINO cannot load x\.xml"):
        ir_runner(tmp_path / "x.xml", Form())
