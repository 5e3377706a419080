"""A build of high effort: its plan says what was learned, verification holds it, and it resumes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calib.digest import sha256_file
from calib.errors import UsageError
from deploy.build import idle_options, kept_learning, lower, refinement
from deploy.build.calibrate import CalibrationRequest
from deploy.build.execution import Execution
from deploy.build.kept_refinement import read_refinement
from deploy.build.request import BuildRequest
from deploy.pipeline import build_model
from deploy.progress import Silent
from deploy.report import remake_report
from quant.plan import QuantOptions
from quant.refinement import learn, refine
from quant.refinement.network import TorchNetwork
from quant.refinement.schedule import Rates, Schedule
from tests.deploy.builds import copied, edit_initializer, rehash, run

SMALL = {
    "activations and biases": Schedule(16, 4, 2, Rates(0.0, 0.0, 0.02, 3e-3)),
    "weights": Schedule(16, 4, 2, Rates(0.004, 2e-4, 0.02, 2e-3)),
}
PLAN, INT8 = "tiny-int8-qnn.plan.json", "tiny-int8-qnn.onnx"


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module", autouse=True)
def short():
    """Learn for a second, and call it better: what is learned is to be found in the files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine, "ON_CPU", dict.fromkeys(refine.ON_CPU, SMALL))
        rising = iter(range(1, 1000))
        patch.setattr(refinement, "_parity_db", lambda *_: float(next(rising)))
        yield


def request(weights: Path, out: Path) -> BuildRequest:
    return BuildRequest(
        "tiny",
        targets=("qnn",),
        weights=weights,
        calibration=CalibrationRequest(count=2),
        execution=Execution(device="cpu"),
        quantization=QuantOptions(effort="high"),
        out=out,
        report=False,
    )


@pytest.fixture(scope="module")
def made(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outcome = build_model(request(tiny_weights, tmp_path_factory.mktemp("high")), Silent())
    assert outcome.verification.passed
    return outcome.folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "tiny")


def edit_plan(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    plan = json.loads((folder / PLAN).read_text())
    change(plan)
    (folder / PLAN).write_text(json.dumps(plan))
    rehash(folder)


def test_the_plan_says_what_was_learned(made: Path) -> None:
    plan = json.loads((made / PLAN).read_text())
    told = plan["refined"]
    assert [stage["name"] for stage in told["stages"]] == list(SMALL)
    assert told["activations"]
    assert {name: plan["edges"][name]["scale"] for name in told["activations"]} == (
        told["activations"]
    )
    assert told["weights"].keys() == plan["weights"].keys()
    assert (
        json.loads((made / "manifest.json").read_text())["options"]["targets"]["qnn"][
            "quantization"
        ]["effort"]
        == "high"
    )


def test_the_report_shows_what_each_stage_brought(copy: Path) -> None:
    assert remake_report(copy, Silent())
    page = (copy / "report.html").read_text(encoding="utf-8")
    section = page[page.index("<h4>What learning brought</h4>") :].partition("</table>")[0]
    told = json.loads((copy / PLAN).read_text())["refined"]
    rows = re.findall(r"<tr><td>(.*?)</td>", section)
    assert rows == ["GPTQ", *(stage["name"] for stage in told["stages"])]
    assert f'data-name="parity dB">{told["stages"][-1]["parity_db"]:.2f}<' in section


def double_scale(plan: dict[str, Any]) -> None:
    name = next(iter(plan["refined"]["activations"]))
    plan["edges"][name]["scale"] *= 1.5


def double_learned(plan: dict[str, Any]) -> None:
    name = next(iter(plan["refined"]["activations"]))
    plan["refined"]["activations"][name] *= 3.0


def other_weight(plan: dict[str, Any]) -> None:
    quant = next(iter(plan["weights"].values()))
    quant["scales"][0] *= 1.01


def forget(plan: dict[str, Any]) -> None:
    plan["refined"] = None


@pytest.mark.parametrize("change", [double_scale, double_learned, other_weight, forget])
def test_a_plan_that_was_tampered_with_is_found(
    copy: Path, picture: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edit_plan(copy, change)
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1, result.output
    assert "scale" in result.output


def test_a_file_that_was_tampered_with_is_found(copy: Path, picture: Path) -> None:
    name = next(iter(json.loads((copy / PLAN).read_text())["refined"]["activations"]))
    edit_initializer(copy, INT8, f"{name}_scale", lambda scale: scale * 1.01)
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1
    assert f"{name}_scale" in result.output


def test_what_was_learned_is_not_learned_again(
    made: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tiny_weights, tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("deploy.pipeline.check_contents", killed)
        with pytest.raises(Killed):
            build_model(asked, Silent())
    (kept,) = (asked.folder / ".unfinished").glob("*.refinement")
    assert not list((asked.folder / ".unfinished").glob("*.learning"))
    assert read_refinement(kept, "0" * 64) is None
    monkeypatch.setattr(refinement, "refine", killed)
    again = build_model(asked, Silent()).folder
    assert sha256_file(again / INT8) == sha256_file(made / INT8)


@pytest.mark.parametrize("killed_at", [1, 4, 7])
def test_a_build_goes_on_in_the_middle_of_learning(
    killed_at: int,
    made: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = request(tiny_weights, tmp_path)
    monkeypatch.setattr(kept_learning, "EVERY_S", 0.0)
    taken: list[int] = []
    held = learn.hold_weights

    def step(network: TorchNetwork) -> None:
        if len(taken) == killed_at:
            raise Killed
        taken.append(1)
        held(network)

    with monkeypatch.context() as patch:
        patch.setattr(learn, "hold_weights", step)
        with pytest.raises(Killed):
            build_model(asked, Silent())
    assert list((asked.folder / ".unfinished").glob("*.learning"))

    stages = json.loads((made / PLAN).read_text())["refined"]["stages"]
    steps = sum(stage["crops"] // SMALL[stage["name"]].batch for stage in stages)
    more: list[int] = []
    monkeypatch.setattr(learn, "hold_weights", lambda network: more.append(1) or held(network))
    again = build_model(asked, Silent()).folder
    assert len(more) == steps - killed_at
    assert sha256_file(again / INT8) == sha256_file(made / INT8)


def test_what_cannot_be_refined_is_refused_before_calibrating(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        raise UsageError("cannot refine")

    monkeypatch.setattr(lower, "require_refinable", refused)
    monkeypatch.setattr(lower, "calibration_table", None)  # it is not come to
    with pytest.raises(UsageError, match="cannot refine"):
        build_model(request(tiny_weights, tmp_path), Silent())


def test_a_device_without_effort_is_told_to_be_idle(tiny_weights: Path, tmp_path: Path) -> None:
    asked = replace(request(tiny_weights, tmp_path), quantization=QuantOptions())
    (line,) = idle_options.idle_options(asked, targets=True)
    assert "--device cpu changes nothing" in line
