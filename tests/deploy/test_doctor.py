"""An examination tells what is there and what is not, and never passes over a broken library."""

import json
import re
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from calib.extras import install_command, pip_install, requirements
from deploy import doctor
from deploy.cli import app
from deploy.network.known_models import MODELS

REQUIRED = [
    Requirement(text).name for text in metadata.requires("esrdeploy") or () if "extra" not in text
]


def findings(folder: Path) -> dict[str, doctor.Finding]:
    return {one.what: one for one in doctor.examine(folder).findings}


def test_this_installation_works(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path)
    assert found.works
    by_name = findings(tmp_path)
    assert all(
        f"{name} {metadata.version(name)}" in by_name["libraries"].found for name in REQUIRED
    )
    assert {f"weights {entry.name}" for entry in MODELS} <= set(by_name)
    assert by_name["weights x4plus"].status == "good"


def test_every_extra_that_the_package_declares_is_explained() -> None:
    assert set(doctor.EXTRAS) == doctor.extras_offered()


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("fault", ["absent", "too old", "unloadable"])
def test_a_library_at_fault_is_named_with_what_to_do(
    name: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_version, real_modules = doctor.version, doctor._modules

    def version(asked: str) -> str:
        if asked != name or fault == "unloadable":
            return real_version(asked)
        if fault == "absent":
            raise metadata.PackageNotFoundError(asked)
        return "0.0.1"

    def modules(asked: str) -> list[str]:
        at_fault = asked == name and fault == "unloadable"
        return ["no_such_library"] if at_fault else real_modules(asked)[:0]

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "_modules", modules)
    found = doctor.examine(tmp_path)
    assert not found.works
    broken = {one.what: one for one in found.findings if one.status == "broken"}
    assert set(broken) == {name}
    assert broken[name].to_do.startswith(f"{pip_install()} '{name}")
    expected = {
        "absent": "not installed",
        "too old": "0.0.1, where",
        "unloadable": "cannot be loaded",
    }
    assert expected[fault] in broken[name].found


@pytest.mark.parametrize("extra", sorted(doctor.EXTRAS))
def test_a_missing_extra_says_how_to_get_it_and_stops_nothing(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {requirement.name for requirement in requirements(extra)}
    assert names
    real = doctor._installed

    def installed(requirement: Requirement) -> doctor.Finding:
        if requirement.name in names:
            return doctor.Finding(requirement.name, "missing", "not installed")
        return real(requirement)

    monkeypatch.setattr(doctor, "_installed", installed)
    found = findings(tmp_path)
    assert found[f"extra {extra}"].status == "missing"
    assert found[f"extra {extra}"].to_do == install_command(extra)
    assert doctor.examine(tmp_path).works


def test_a_small_or_closed_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = tmp_path / "not" / "yet"
    assert findings(later)["disk"].found.endswith(f"free in {tmp_path}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    assert findings(later)["disk"].status == "missing"
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert findings(later)["disk"].status == "broken"


def test_the_command_shows_every_finding_and_brackets_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = doctor.Finding("openvino", "missing", "not installed")
    monkeypatch.setattr(doctor, "_installed", lambda _: missing)
    result = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"extra openvino: {install_command('openvino')}" in lines
    document = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert document["works"] is False
    for one in document["findings"]:
        assert not one["to_do"] or f"{one['what']}: {one['to_do']}" in lines
        assert re.search(rf"│ {re.escape(one['what'])} +│", result.stdout)
