"""``handoff --simulate`` makes a bundle and runs it."""

import json
from pathlib import Path

import pytest

from tests.deploy.builds import run
from tests.simulated import of_one_stage, put_in_place, stand_in


def test_a_bundle_is_made_and_run(
    small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_in_place(monkeypatch, tmp_path / "environments", of_one_stage(stand_in(tmp_path)))
    words = ("handoff", "--vendor", "vacc", small_build, "--out", "b.zip", "--yes")
    result = run(*words, "--simulate", "fake", "--json")
    assert result.exit_code == 0, result.output
    (simulation,) = json.loads(result.stdout)["simulations"]
    assert [item["verdict"] for item in simulation["routes"]] == ["accepted", "accepted"]
    assert (tmp_path / simulation["folder"] / "float" / "verdict.html").is_file()


def test_an_unknown_toolchain_is_refused_before_the_bundle_is_made(
    small_build: Path, tmp_path: Path
) -> None:
    words = ("handoff", "--vendor", "vacc", small_build, "--out", tmp_path / "b.zip")
    result = run(*words, "--simulate", "abacus")
    assert result.exit_code == 2
    assert "unknown toolchain 'abacus'" in result.stderr
    assert not (tmp_path / "b.zip").exists()
