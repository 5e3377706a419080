"""Environments are whole or not there; nothing is installed that nobody agreed to."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from calib.errors import ToolchainError, UsageError
from deploy.cli.simulate import _require_consent
from deploy.progress import Silent
from deploy.simulate import environment
from deploy.simulate.environment import Place, make_environment
from deploy.simulate.npm import NpmPackage
from deploy.simulate.plan import SimulationRequest, plan_simulation
from deploy.simulate.pythons import find_python, version_of
from deploy.simulate.toolchain import Environment, Toolchain
from deploy.simulate.toolchains import REFUSED, find_toolchain, toolchains
from tests.deploy.builds import run
from tests.simulated import EMPTY, put_in_place, stand_in

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    toolchain = stand_in(tmp_path)
    put_in_place(monkeypatch, tmp_path / "environments", toolchain)
    return toolchain


def planned(toolchain: Toolchain):
    return plan_simulation(SimulationRequest(Path("x.zip"), toolchain.name), toolchain)


def test_an_environment_is_made_once_and_found_again(fake: Toolchain, tmp_path: Path) -> None:
    (place,) = planned(fake).missing
    make_environment(place, tmp_path / "install.log", 60.0, Silent())
    assert planned(fake).missing == ()
    made = place.python.lstat().st_mtime_ns
    make_environment(place, tmp_path / "install.log", 60.0, Silent())
    assert place.python.lstat().st_mtime_ns == made
    place.python.unlink()  # broken: made anew
    assert len(planned(fake).missing) == 1


def test_other_pins_are_another_environment(fake: Toolchain) -> None:
    others = [replace(EMPTY, bare=("a==1",)), replace(EMPTY, pins=("a==1",)), EMPTY]
    others += [replace(EMPTY, npm=(NpmPackage("a", "1", digest),)) for digest in ("x", "y")]
    assert len({Place.of("fake", one).folder for one in others}) == len(others)


def test_a_package_that_cannot_be_had_leaves_nothing(
    fake: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = "no-such-package==1.0"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    place = Place.of("fake", Environment((pins,), (HERE,), 1)).made_from(Path(sys.executable))
    with pytest.raises(ToolchainError, match=rf"install failed.*{pins}"):
        make_environment(place, tmp_path / "install.log", 120.0, Silent())
    assert not place.folder.exists()


def test_a_python_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch) -> None:
    shim = tmp_path / f"python{HERE}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version_of(shim) is None
    assert version_of(find_python(["2.0", HERE])) == HERE
    with pytest.raises(UsageError, match=r"found no Python 2\.0 or 2\.1; .* --python PATH"):
        find_python(["2.0", "2.1"], [Path(sys.executable), shim])


def test_nothing_is_installed_without_consent(
    fake: Toolchain, vacc_only: Path, tmp_path: Path, monkeypatch
) -> None:
    words = ("simulate", "--target", "fake", vacc_only, "--out", tmp_path / "out")
    result = run(*words)
    assert result.exit_code == 2
    assert "licences: none" in result.stderr
    assert str(planned(fake).missing[0].folder) in result.stderr
    assert "nothing was installed" in result.stderr.splitlines()[-1]

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(UsageError, match="nothing was installed"):
        _require_consent(planned(fake), Silent(), yes=False)
    assert not environment.toolchains_folder().exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_what_its_licence_forbids_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[name][:20]):
        find_toolchain(name.upper())


def test_another_machine_is_refused(fake: Toolchain) -> None:
    with pytest.raises(UsageError, match="runs on Linux, abacus"):
        planned(replace(fake, machines=("abacus",)))


USING = {
    name: sorted(
        {command for program in one.programs for command in program.commands}
        | {"npm" for environment in one.environments if environment.npm}
    )
    for name, one in toolchains().items()
}


@pytest.mark.parametrize("name", [name for name, commands in USING.items() if commands])
def test_a_program_that_is_not_here_is_told_of_before_anything_is_installed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_place(monkeypatch, tmp_path / "environments")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("simulate", "--target", name, "bundle.zip", "--yes")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"esrdeploy: {name} needs ")
    assert line.endswith(" on PATH; install it")
    for command in USING[name]:
        program = tmp_path / command
        program.touch(mode=0o755)
    programs = planned(toolchains()[name]).programs
    assert programs.keys() == {program.name for program in toolchains()[name].programs}
    assert all(path.parent == tmp_path for path in programs.values())


@pytest.mark.parametrize("name", toolchains())
def test_every_toolchain_states_what_it_is(name: str) -> None:
    toolchain = toolchains()[name]
    assert find_toolchain(name) is toolchain
    assert toolchain.routes
    assert all(stage.driver.is_file() for stage in toolchain.stages)
    stated = toolchain.licence
    for one in toolchain.environments:
        assert one.size_mb > 0
        assert all("==" in pin for pin in (*one.pins, *one.bare))
        for pin in one.packages:
            assert re.split(r"==|\[|@", pin)[0] in stated, pin


def test_a_misspelt_toolchain_is_guessed() -> None:
    with pytest.raises(UsageError, match="did you mean openvino"):
        find_toolchain("openvno")
