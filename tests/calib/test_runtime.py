"""Sharing out cores among inferences that run side by side, and giving back what they took."""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.runtime import Session, give_back_memory, shares


@pytest.mark.parametrize("jobs", [1, 2, 3, 100])
@pytest.mark.parametrize("cores", [1, 2, 6, 64])
def test_cores_are_shared_out(cores: int, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    workers, threads = shares(jobs, most=4)
    assert 1 <= workers <= min(jobs, 4)
    assert 1 <= workers * threads <= cores


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_inferences_took_is_given_back() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        large (float[1] x) => (float least) <int64[2] shape = {8192, 8192}>
        {
          wide = Expand(x, shape)
          more = Relu(wide)
          least = ReduceMin<keepdims=0>(more)
        }"""
    model = onnx.parser.parse_model(text)
    session = Session(model, optimized=False, threads=1)
    session.run({"x": np.ones(1, np.float32)})
    held = _resident_mb()
    give_back_memory()
    assert held - _resident_mb() > 200  # of 512
    assert session.run({"x": np.ones(1, np.float32)})["least"] == 1.0


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
