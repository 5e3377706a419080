"""What a toolchain takes is measured stage by stage, and stays when its folder is gone on with."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import ToolchainError
from deploy.simulate.drivers.golden_job import GoldenJob
from deploy.simulate.step import Step, run_step
from deploy.simulate.toolchain import Toolchain
from deploy.simulate.usage import StageUsage, Usage, UsageRecord
from tests.deploy.builds import run
from tests.simulated import WORKS, of_one_stage, put_in_place, stand_in

MEGABYTE = 10**6
BUILDS_S, DRAWS_S = 0.4, 0.3
SLOW = f"time.sleep({BUILDS_S})\n" + WORKS.replace(
    "if not target.exists():\n", f"if not target.exists():\n        time.sleep({DRAWS_S})\n"
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").is_file(), reason="reads Linux's /proc"
)


@pytest.fixture
def simulate(vacc_only: Path, tmp_path: Path, monkeypatch) -> Callable:
    """A function that runs a stand-in of two stages on a bundle, and returns its float route."""
    monkeypatch.chdir(tmp_path)

    def go(*words: object, behaviour: str = SLOW, change=lambda toolchain: toolchain) -> dict:
        toolchain: Toolchain = change(stand_in(tmp_path, behaviour=behaviour))
        put_in_place(monkeypatch, tmp_path / "environments", toolchain)
        words = ("--target", "fake", vacc_only, "--out", "out", "--yes", "--route", "float", *words)
        result = run("simulate", *words, "--json")
        (route,) = json.loads(result.stdout).get("routes", ({},))
        return route

    return go


def taken(code: str, folder: Path, limit_s: float = 60.0) -> Usage:
    """Return what a Python process took."""
    found: list[Usage] = []
    step = Step("it", (sys.executable, "-c", code), folder, folder / "it.log", limit_s)
    run_step(step, keep=found.append)
    return found[0]


@needs_proc
def test_building_and_drawing_are_told_apart_and_kept(simulate: Callable, tmp_path: Path) -> None:
    first = simulate("--first", 2)
    # What stands in draws in its first stage too, which counts as building.
    assert first["building_seconds"]["build"] >= BUILDS_S + 2 * DRAWS_S
    assert (first["drawing_seconds"]["build"], first["pictures"]["build"]) == (0.0, 0)
    assert [*first["pictures"]] == ["build", "run"]
    (tmp_path / "out" / "float" / "returned").rename(tmp_path / "away")
    alone = simulate("--first", 2)
    assert alone["building_seconds"]["build"] == first["building_seconds"]["build"]
    assert BUILDS_S <= alone["building_seconds"]["run"] <= alone["seconds"]["run"] - 2 * DRAWS_S
    assert alone["building_cpu_seconds"]["run"] <= alone["cpu_seconds"]["run"]
    assert alone["pictures"]["run"] == first["pictures"]["run"] + 2
    more = simulate("--first", 3)
    assert more["pictures"]["run"] == alone["pictures"]["run"] + 1
    assert more["drawing_seconds"]["run"] >= alone["drawing_seconds"]["run"] + DRAWS_S
    assert simulate("--first", 3)["pictures"] == more["pictures"]  # nothing was run
    assert simulate("--first", 3)["seconds"] == more["seconds"]


def test_what_was_drawn_before_it_failed_counts(simulate: Callable, tmp_path: Path) -> None:
    fails = SLOW + "        sys.exit(3)\n"
    assert simulate("--first", 3, behaviour=fails, change=of_one_stage) == {}
    record = json.loads((tmp_path / "out" / "float" / "usage.json").read_text())
    assert record["schema"] == "esrdeploy.simulation-usage/1"
    assert record["stages"]["run"]["pictures"] == 1
    route = simulate("--first", 3, change=of_one_stage)
    assert route["pictures"] == {"run": 3}
    assert route["drawing_seconds"]["run"] >= 3 * DRAWS_S


@needs_proc
def test_memory_is_that_of_all_processes_and_of_none_of_ours(tmp_path: Path) -> None:
    holds = f"x = bytearray(b'1') * {150 * MEGABYTE}; import time; time.sleep(1.5)"
    both = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {holds!r}]); "
    assert 300 <= taken(f"{both}{holds}; p.wait()", tmp_path).peak_bytes / MEGABYTE <= 400
    for_a_moment = f"x = bytearray(b'1') * {300 * MEGABYTE}; del x; import time; time.sleep(1)"
    assert 300 <= taken(for_a_moment, tmp_path).peak_bytes / MEGABYTE <= 400
    ours = np.ones(200 * MEGABYTE, np.uint8)
    assert taken("import time; time.sleep(0.7)", tmp_path).peak_bytes < ours.nbytes / 2


@needs_proc
def test_processor_time_is_that_of_processes_too_that_nobody_waits_for(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 1: 0\ntime.sleep(60)"
    left = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {busy!r}]); "
    orphan = taken(f"{left}time.sleep(8)", tmp_path)
    assert 0.8 <= orphan.cpu_s <= 3.0
    waited = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy[:-15]!r}])"
    assert 0.8 <= taken(waited, tmp_path).cpu_s <= 3.0


def test_a_step_that_is_ended_is_measured_too(tmp_path: Path) -> None:
    found: list[Usage] = []
    step = Step(
        "it", (sys.executable, "-c", "while 1: 0"), tmp_path, tmp_path / "it.log", limit_s=0.5
    )
    with pytest.raises(ToolchainError, match="was not done"):
        run_step(step, keep=found.append)
    (usage,) = found
    assert usage.building_s >= 0.5
    assert usage.drawing_s is None
    assert usage.cpu_s > 0


def test_a_driver_says_that_it_is_ready_before_it_draws(tmp_path: Path) -> None:
    (tmp_path / "golden" / "input").mkdir(parents=True)
    np.save(tmp_path / "golden" / "input" / "a.npy", np.zeros(2, np.float32))
    job = GoldenJob(tmp_path, tmp_path, "float", tmp_path, tmp_path, ("a",), (), "x", {})
    seen = []

    def compute(planes):
        seen.append((tmp_path / "ready").is_file())
        return planes

    assert not (tmp_path / "ready").exists()
    job.run(compute)
    assert seen == [True]


tenths = st.integers(0, 10**6).map(lambda value: round(value / 10, 1))
usages = st.builds(
    StageUsage,
    tenths,
    st.none() | tenths,
    tenths,
    st.integers(0, 9),
    tenths,
    st.integers(0, 10**12),
)


@given(usages, usages, usages)
def test_runs_add_up_in_any_grouping(a: StageUsage, b: StageUsage, c: StageUsage) -> None:
    left, right = a.and_then(b).and_then(c), a.and_then(b.and_then(c))
    assert left.pictures == right.pictures == a.pictures + b.pictures + c.pictures
    assert left.drawing_seconds == pytest.approx(right.drawing_seconds)
    assert left.building_seconds == right.building_seconds
    assert left.building_seconds in {one.building_seconds for one in (a, b, c)}
    assert left.peak_bytes == max(a.peak_bytes, b.peak_bytes, c.peak_bytes)


@given(st.dictionaries(st.sampled_from("abcd"), usages))
def test_stages_add_up_to_a_whole(stages: dict[str, StageUsage]) -> None:
    whole = UsageRecord(stages).whole
    if whole is None:
        assert not stages
        return
    document = UsageRecord(stages).document()
    lasted = whole.building_seconds + whole.drawing_seconds
    assert lasted == pytest.approx(sum(document["seconds"].values()), abs=0.2)
    assert whole.pictures == sum(document["pictures"].values())
    assert round(whole.peak_bytes / 1e6) == max(document["peak_mb"].values())
    building_cpu = document["building_cpu_seconds"].values()
    assert (whole.building_cpu_seconds is None) == (None in building_cpu)
    if whole.building_cpu_seconds is not None and whole.drawing_cpu_seconds is not None:
        assert whole.building_cpu_seconds == pytest.approx(sum(building_cpu))
        both = whole.building_cpu_seconds + whole.drawing_cpu_seconds
        assert both == pytest.approx(sum(document["cpu_seconds"].values()))
