"""A build makes once what several stages need: graphs under a plan, digests, parsed plans."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from calib.graph import network_digest
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.pipeline import build_model
from deploy.progress import Silent
from deploy.verify.verdict import verify_tree
from quant.passes.fold import fold


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], list[Any]]:
    """Function to a list that grows by its first argument whenever anything calls it."""

    def watch(function: Callable[..., Any]) -> list[Any]:
        seen: list[Any] = []

        def watched(*args: Any, **options: Any) -> Any:
            seen.append(args[0])
            return function(*args, **options)

        for module in list(sys.modules.values()):
            name = getattr(module, "__name__", "").partition(".")[0]
            ours = name in {"calib", "quant", "deploy"}
            if ours and getattr(module, function.__name__, None) is function:
                monkeypatch.setattr(module, function.__name__, watched)
        return seen

    return watch


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read as a whole."""
    names: list[str] = []
    read_bytes = Path.read_bytes

    def watched(path: Path) -> bytes:
        names.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", watched)
    return names


def is_float(model: onnx.ModelProto) -> bool:
    return all(node.op_type != "QuantizeLinear" for node in model.graph.node)


def test_a_build_prepares_its_graph_once_and_reads_each_plan_once(
    calls, read: list[str], tiny_weights: Path, tmp_path: Path
) -> None:
    request = BuildRequest(
        "tiny", weights=tiny_weights, calibration=CalibrationRequest(count=2), out=tmp_path
    )
    prepared, digested = calls(fold), calls(network_digest)
    outcome = build_model(request, Silent())
    assert outcome.verification.passed
    assert (tmp_path / "tiny" / "report.html").is_file()
    assert len(prepared) == 1  # its own verification takes the one that it planned
    assert 1 <= len(list(filter(is_float, digested))) <= 3  # calibration, planning, verification
    assert read.count("tiny-int8-ort.plan.json") == 1


def test_a_verification_prepares_its_graph_once(calls, read: list[str], built: Path) -> None:
    prepared, digested = calls(fold), calls(network_digest)
    (verification,) = verify_tree(built, images=None, weights=None, progress=Silent())
    assert verification.parity
    assert len(prepared) == 1
    assert len(list(filter(is_float, digested))) == 1
    assert read.count("tiny-int8-ort.plan.json") == 1
