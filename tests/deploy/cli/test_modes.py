"""A command that does one of two things refuses every option that the other is asked with."""

from pathlib import Path

import pytest
import typer
from typer.core import TyperOption

from deploy.cli import app
from tests.deploy.builds import run

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options(command: str) -> dict[str, TyperOption]:
    found = (option for option in COMMANDS[command].params if isinstance(option, TyperOption))
    return {option.opts[0]: option for option in found if option.name != "help"}


OF_RETURN = {
    flag for flag, option in options("verify").items()
    if option.rich_help_panel == "Results of a vendor"
}  # fmt: skip
OF_BUILD = {*options("verify")} - OF_RETURN - {"--sign", "--key", "--json"}
OF_MAKING = {*options("handoff")} - {"--check", "--key", "--json"}


WORDS = {"--precision": "fp16", "--layout": "nhwc", "--scales": "own", "--backend": "ort"}
"""What options take that do not take any word."""


def spelled(option: TyperOption) -> list[str]:
    """Return an option with a value of its type."""
    if option.is_flag:
        return [option.opts[0]]
    return [option.opts[0], WORDS.get(option.opts[0], "8")]


def test_there_is_something_to_ask() -> None:
    assert {"--scales", "--vendor", "--report", "--precision"} <= OF_RETURN
    assert {"--weights", "--backend", "--layers"} <= OF_BUILD
    assert {"--vendor", "--out", "--sign", "--include-images"} <= OF_MAKING


@pytest.mark.parametrize("flag", sorted(OF_RETURN - {"--returned"}))
def test_a_build_is_not_verified_with_options_for_a_return(flag: str, tmp_path: Path) -> None:
    result = run("verify", tmp_path, *spelled(options("verify")[flag]))
    assert result.exit_code == 2
    assert f"found {flag} without --returned" in result.stderr


@pytest.mark.parametrize("flag", sorted(OF_BUILD))
def test_a_return_is_not_judged_with_options_for_a_build(flag: str, tmp_path: Path) -> None:
    words = spelled(options("verify")[flag])
    result = run("verify", "--returned", tmp_path, tmp_path, *words)
    assert result.exit_code == 2
    assert f"found {flag} beside --returned" in result.stderr


@pytest.mark.parametrize("flag", [*sorted(OF_MAKING), "dist/x"])
def test_a_bundle_is_not_checked_with_what_makes_one(flag: str, tmp_path: Path) -> None:
    words = spelled(options("handoff")[flag]) if flag in OF_MAKING else [flag]
    result = run("handoff", "--check", tmp_path, *words)
    assert result.exit_code == 2
    assert f"found {flag} beside --check" in result.stderr
