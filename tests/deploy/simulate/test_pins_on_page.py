"""The page of the toolchains says what each installs, as it is pinned."""

from pathlib import Path

import pytest

from deploy.simulate.toolchain import Toolchain
from deploy.simulate.toolchains import toolchains

PAGE = Path(__file__).parents[3] / "docs" / "simulate.md"


def row(toolchain: Toolchain) -> str:
    """Return the line of a toolchain: what is installed, for which Python, how large, licences."""
    environments = toolchain.environments
    packages = "; ".join(", ".join(one.packages).replace("==", " ") for one in environments)
    pythons = "; ".join(", ".join(sorted(one.pythons, key=len_first)) for one in environments)
    size = f"{sum(one.size_mb for one in environments) / 1000:.1f} GB"
    return f"| `{toolchain.name}` | {packages} | {pythons} | {size} | {toolchain.licence} |"


def len_first(version: str) -> tuple[int, str]:
    """Return what puts 3.9 before 3.10."""
    return len(version), version


@pytest.mark.parametrize("name", toolchains())
def test_the_page_says_what_is_installed(name: str) -> None:
    assert row(toolchains()[name]) in PAGE.read_text(encoding="utf-8").splitlines()
