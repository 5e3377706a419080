"""A bundle goes through a toolchain: what works, goes on, is left out, and what is refused.

The toolchain is a stand-in that every machine has (tests/simulated.py); the real ones are run where
``ESRDEPLOY_TOOLCHAINS`` is set, as they are fetched; those of gigabytes where it says ``all``.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib.digest import sha256_file
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.simulate.toolchain import Toolchain
from tests.deploy.builds import run
from tests.simulated import WORKS, of_one_stage, put_in_place, stand_in

REAL = {
    "openvino": "openvino",
    "ncnn": "ncnn",
    "qnn": "qnn",
    "litert": "vacc",
    "kendryte": "vacc",
    "tvm": "openvino",
    "web": "web",
}
"""Vendor of the bundle that each of the quick toolchains is run on."""
OF_GIGABYTES = {"coreml": "vacc", "executorch": "vacc", "sophgo": "vacc"}
"""Likewise of those whose environments hold torch."""
NOT_EXECUTED = {"coreml"}


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def simulate(vacc_only: Path, environments: Path, tmp_path: Path, monkeypatch) -> Callable:
    """A function that runs a stand-in on a bundle, from a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def go(*words: object, behaviour: str = WORKS, change=of_one_stage, bundle=vacc_only):
        toolchain: Toolchain = change(stand_in(tmp_path, behaviour=behaviour))
        put_in_place(monkeypatch, environments, toolchain)
        return run("simulate", "--target", "fake", bundle, "--out", "out", "--yes", *words)

    return go


def the_line(result) -> str:
    """Return the one line that a refused command says."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = (one for one in result.stderr.splitlines() if one.startswith("esrdeploy: "))
    return line


def test_every_route_that_the_bundle_has_the_file_for_is_gone_and_judged(
    simulate: Callable, vacc_only: Path, tmp_path: Path
) -> None:
    before = sha256_file(vacc_only)
    result = simulate("--json", change=lambda toolchain: toolchain)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    routes = {item["route"]: item for item in document["routes"]}
    assert [*routes] == ["float", "int8"]
    assert document["left_out"] == {
        "other": "the bundle lacks its file; make one with --vendor nobody"
    }
    assert 90.0 < routes["float"]["parity_db_mean"] < 101.0
    assert routes["float"]["within_1_db"] is None
    assert abs(routes["int8"]["beside_reference_db"]) < 0.1
    assert routes["int8"]["within_1_db"] is True
    with opened(vacc_only) as root:
        names = sorted(path.stem for path in (root / "golden" / "float").iterdir())
    for name in routes:
        folder = tmp_path / "out" / name
        assert sorted(path.stem for path in (folder / "returned").iterdir()) == names
        assert {"build.log", "run.log", "verdict.html", "verdict.json", "work"} <= {
            path.name for path in folder.iterdir()
        }
    assert sha256_file(vacc_only) == before


def test_a_folder_is_run_as_its_zip_is_and_stays_as_it_was(
    simulate: Callable, vacc_only: Path, tmp_path: Path
) -> None:
    with opened(vacc_only) as root:
        shutil.copytree(root, tmp_path / "bundle")
    before = {path: sha256_file(path) for path in (tmp_path / "bundle").rglob("*.*")}
    spoils = WORKS + 'Path(job["model"]).write_bytes(b"")\n'
    result = simulate("--first", 1, "--route", "float", behaviour=spoils, bundle="bundle")
    assert result.exit_code == 0, result.output
    assert {path: sha256_file(path) for path in (tmp_path / "bundle").rglob("*.*")} == before


def test_what_was_finished_is_kept_and_the_rest_is_run(simulate: Callable, tmp_path: Path) -> None:
    assert simulate("--first", 2, "--route", "float").exit_code == 0
    outputs = tmp_path / "out" / "float" / "returned"
    kept = {path: path.stat().st_mtime_ns for path in outputs.iterdir()}
    assert len(kept) == 2
    result = simulate("--first", 3, "--route", "float")
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len([*outputs.iterdir()]) == 3
    (said,) = (tmp_path / "out" / "float" / "run.log").read_text().splitlines()
    assert said not in {path.stem for path in kept}
    again = simulate("--first", 1, "--route", "float", behaviour="raise SystemExit(3)")
    assert again.exit_code == 0, again.output  # nothing is left to run


def test_what_a_slow_toolchain_will_take_is_said_first(simulate: Callable, vacc_only: Path) -> None:
    def slow(toolchain: Toolchain) -> Toolchain:
        return replace(of_one_stage(toolchain), seconds_per_gmac=600.0)

    quick = simulate("--first", 1, "--route", "float")
    assert "is slow" not in quick.stderr
    shutil.rmtree("out")
    result = simulate("--first", 1, "--route", "float", change=slow)
    (line,) = (one for one in result.stderr.splitlines() if "is slow" in one)
    with opened(vacc_only) as root:
        macs = read_contents(root).network.macs
    assert f"{macs / 1e9:.3g} billion multiply-accumulates, about {macs / 1e8:.2g} minutes" in line
    assert "pictures to run on all routes: 1" in line
    assert "is slow" not in simulate("--first", 1, "--route", "float", change=slow).stderr
    assert result.stderr.index(line) < result.stderr.index("float: run")


def test_outputs_that_are_not_accepted_exit_with_1(simulate: Callable) -> None:
    wrong = WORKS.replace('"float" if job["route"] == "float" else int8', '"input"')
    result = simulate("--first", 1, "--route", "float", behaviour=wrong)
    assert result.exit_code == 1, result.output
    assert "NOT ACCEPTED" in result.output


def test_what_is_made_and_not_executed_is_said_to_be_so(simulate: Callable, tmp_path: Path) -> None:
    def converts(toolchain: Toolchain) -> Toolchain:
        routes = (replace(toolchain.routes[0], makes="network.bin"),)
        return replace(of_one_stage(toolchain), routes=routes)

    forgets = the_line(simulate(behaviour="print('converted')", change=converts))
    assert "run left no network.bin; its log is" in forgets
    shutil.rmtree("out")
    makes = 'Path(job["work"], "network.bin").touch()'
    result = simulate("--json", behaviour=makes, change=converts)
    assert result.exit_code == 0, result.output
    (route,) = json.loads(result.stdout)["routes"]
    assert (route["verdict"], route["inputs"]) == ("made, not executed", 0)
    assert (tmp_path / route["file"]).is_file()
    again = simulate(behaviour="raise SystemExit(3)", change=converts)  # it was made before
    assert again.exit_code == 0, again.output
    assert "made, not executed" in again.stdout
    assert "network.bin" in again.stdout


REFUSED = {
    "a driver that fails": (
        "print('ERROR: layer Foo is not supported'); sys.exit(3)",
        "failed, exit code 3; it said: ERROR: layer Foo is not supported",
    ),
    "a package that is not there": ("import no_such_sdk", "No module named 'no_such_sdk'"),
    "a crash": ("os.kill(os.getpid(), 11)", "ended by SIGSEGV; it said nothing"),
    "a hang": ("print('step 1', flush=True); time.sleep(60)", "was not done after 0.02 minutes"),
    "an output left out": ("print('all done')", "left no output for"),
}


@pytest.mark.parametrize(("behaviour", "says"), REFUSED.values(), ids=REFUSED)
def test_a_toolchain_that_does_not_work_is_one_line(
    behaviour: str, says: str, simulate: Callable, vacc_only: Path, tmp_path: Path
) -> None:
    before = sha256_file(vacc_only)
    result = simulate("--route", "float", "--time-limit", 0.02, behaviour=behaviour)
    line = the_line(result)
    assert says in line
    assert "run.log" in line
    assert [*(tmp_path / "out" / "float" / "returned").iterdir()] == []
    assert sha256_file(vacc_only) == before


def test_nothing_of_a_hanging_simulator_lives_on(simulate: Callable, tmp_path: Path) -> None:
    child = f"time.sleep(2); open({str(tmp_path / 'alive')!r}, 'w')"
    hang = f"import subprocess\nsubprocess.run([sys.executable, '-c', 'import time; ' + {child!r}])"
    the_line(simulate("--route", "float", "--time-limit", 0.01, behaviour=hang))
    time.sleep(2.5)
    assert not (tmp_path / "alive").exists()


def test_a_folder_of_something_else_is_refused(
    simulate: Callable, handed_over, tmp_path: Path
) -> None:
    assert simulate("--first", 1, "--route", "float").exit_code == 0
    assert "of another bundle" in the_line(simulate(bundle=handed_over.path))
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").touch()
    assert "is no folder of outputs" in the_line(simulate())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_a_route_of_no_file_or_no_name_is_refused(simulate: Callable, tmp_path: Path) -> None:
    refused = simulate("--route", "other")
    assert "--vendor nobody" in the_line(refused)
    assert "not installed yet" not in refused.output  # nobody is told of gigabytes in vain
    assert "choose of float, int8, other" in the_line(simulate("--route", "abacus"))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif("ESRDEPLOY_TOOLCHAINS" not in os.environ, reason="fetches toolchains")
@pytest.mark.parametrize(("name", "vendor"), [*REAL.items(), *OF_GIGABYTES.items()])
def test_a_real_toolchain(name: str, vendor: str, handed_over, tmp_path: Path) -> None:
    if name in OF_GIGABYTES and os.environ["ESRDEPLOY_TOOLCHAINS"] != "all":
        pytest.skip("its environment holds gigabytes; ESRDEPLOY_TOOLCHAINS=all runs it")
    result = run(
        "simulate", "--target", name, handed_over.path, "--out", tmp_path, "--yes", "--first", 1,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (verdict,) = {item["verdict"] for item in document["routes"]}
    assert verdict == ("made, not executed" if name in NOT_EXECUTED else "accepted")
    for item in document["routes"] if verdict == "accepted" else ():
        assert item["parity_db_mean"] > {"fp32": 60.0, "fp16": 50.0, "int8": 0.0}[item["precision"]]
        assert item["within_1_db"] is not False


def test_the_outputs_are_arrays_of_the_golden_shape(
    simulate: Callable, vacc_only: Path, tmp_path: Path
) -> None:
    assert simulate("--first", 1, "--route", "int8").exit_code == 0
    (path,) = (tmp_path / "out" / "int8" / "returned").iterdir()
    with opened(vacc_only) as root:
        golden = np.load(root / golden_path("float", path.stem))
    assert np.load(path).shape == golden.shape
