"""Whoever lacks an extra is told what works wherever the package came from: it is on no index."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calib import extras
from calib.extras import PACKAGE, install_command, missing_library, requirements

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
    assert command.startswith("pip install '")
    assert {one.name for one in wanted} == {one.name for one in requirements(extra)}
    assert PACKAGE not in {one.name for one in wanted}
    assert all(one.specifier for one in wanted)


def test_without_an_installation_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", requires)
    assert install_command("sign") == "pip install '.[sign]' in the checkout"


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
    expected = f"{needed.name} is not installed, and this needs it: pip install '{needed}'"
    assert expected in told


def test_what_the_package_does_not_need_is_nobodys_library() -> None:
    assert missing_library("no_such_module") is None
    assert missing_library("") is None
