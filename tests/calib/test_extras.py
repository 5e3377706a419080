"""Whoever lacks an extra is told what works wherever the package came from: it is on no index."""

import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calib import extras
from calib.extras import PACKAGE, install_command, missing_library, pip_install, requirements

ROOT = Path(extras.__file__).parents[1]
EXTRAS = sorted({*metadata.metadata(PACKAGE).get_all("Provides-Extra")} - {"dev"})
SPOKEN = [
    path
    for folder in ("calib", "deploy", "docs", "quant", "tools")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".html"}
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_adds_is_asked_for_by_its_own_name(extra: str) -> None:
    command = install_command(extra)
    wanted = list(map(Requirement, re.findall(r"'([^']*)'", command)))
    assert command.startswith(f"{pip_install()} '")
    assert {one.name for one in wanted} == {one.name for one in requirements(extra)}
    assert PACKAGE not in {one.name for one in wanted}
    assert all(one.specifier for one in wanted)


def test_the_pip_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my tools/bin/python")
    assert pip_install() == "'/opt/my tools/bin/python' -m pip install"
    monkeypatch.setattr(extras, "find_spec", {"pip": None}.__getitem__)
    assert pip_install() == "uv pip install --python '/opt/my tools/bin/python'"


def test_the_command_installs_into_the_python_that_prints_it() -> None:
    there = [*shlex.split(pip_install()), "--dry-run", "--no-index", "packaging"]
    elsewhere = Path(sys.prefix).anchor  # pip shortens paths below the current folder
    done = subprocess.run(there, capture_output=True, text=True, check=True, cwd=elsewhere)
    (place,) = re.findall("already satisfied: packaging in (.+) \\(", done.stdout)
    assert (Path(elsewhere) / place).is_relative_to(sys.prefix)


ELSEWHERE = {  # words for another machine, on a page of a bundle
    "deploy/handoff/vendors/ncnn.py",
    "deploy/handoff/vendors/qnn.py",
    "deploy/handoff/vendors/openvino.py",
}


def test_no_message_names_a_pip_that_may_be_another_pythons() -> None:
    alone = re.compile(r"(?<!venv/bin/)(?<!executable} -m )(?<!{python} -m )\bpip install\b")
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for folder in ("calib", "deploy", "quant")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert sum("pip_install()" in text for text in sources.values()) > 3
    assert {name for name, text in sources.items() if alone.search(text)} == {
        "calib/extras.py",
        *ELSEWHERE,
    }
    assert len(alone.findall(sources["calib/extras.py"])) == 1  # uv's


@pytest.mark.parametrize(
    "page", [*(path for path in SPOKEN if path.suffix == ".md"), ROOT / "README.md"]
)
def test_pages_leave_the_command_of_an_extra_to_doctor(page: Path) -> None:
    """What an extra adds in which version is known where it is installed, and '.' to a checkout."""
    text = page.read_text("utf-8")
    assert re.search(r"pip install[^\n`]*\.\[", text) is None
    if page.is_relative_to(ROOT / "docs") and page.parent.name != "decisions":
        assert re.findall(r".*extra `.*", text) == []  # but [extra](index.md#extras) `video`


def test_the_page_of_installation_lists_every_extra() -> None:
    section = (ROOT / "docs/index.md").read_text("utf-8").partition("### Extras")[2]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == sorted({*EXTRAS} - {"site"})


def test_without_an_installation_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", requires)
    assert install_command("sign") == f"{pip_install()} '.[sign]' in the checkout"


def test_an_extra_for_another_python_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = ["av>=18; python_version < '3' and extra == 'video'"]
    monkeypatch.setattr(extras, "requires", {extras.PACKAGE: declared}.get)
    assert install_command("video") == "another Python: the extra video has nothing for this one"


def test_nobody_is_told_to_ask_an_index_for_the_package() -> None:
    asked = re.compile(rf"pip install[^\n`|]*\b{PACKAGE}(?![-\w/])|{PACKAGE}\[")
    found = {
        path.relative_to(ROOT).as_posix(): match[0]
        for path in (*SPOKEN, ROOT / "README.md")
        if (match := asked.search(path.read_text("utf-8")))
    }
    assert len(SPOKEN) > 300
    assert found == {}


@pytest.mark.parametrize("needed", [*requirements(None)], ids=lambda needed: needed.name)
def test_a_library_that_is_missing_is_asked_for_by_its_own_name(needed: Requirement) -> None:
    """By the name that a failed import gives: the module's."""
    modules = [
        module
        for module, owners in metadata.packages_distributions().items()
        if needed.name in map(canonicalize_name, owners) and not module.startswith("_")
    ]
    assert modules
    told = {missing_library(module) for module in (*modules, f"{modules[0]}.part")}
    expected = f"{needed.name} is not installed, and this needs it: {pip_install()} '{needed}'"
    assert expected in told


def test_what_the_package_does_not_need_is_nobodys_library() -> None:
    assert missing_library("no_such_module") is None
    assert missing_library("") is None
