"""A word of another list is answered with the word to say: targets, vendors, toolchains."""

import re
from pathlib import Path

import pytest

from deploy.handoff.vendors import find_vendor, vendors
from deploy.simulate.toolchains import find_toolchain, toolchains
from quant.targets import ALIASES, PROFILES, find_profile
from tests.deploy.builds import run

TARGETS = {*PROFILES, *ALIASES}
VENDORS = {word for vendor in vendors().values() for word in (vendor.name, *vendor.aliases)}
TOOLCHAINS = {word for one in toolchains().values() for word in (one.name, *one.aliases)}
OF_OTHERS = sorted((VENDORS | TOOLCHAINS) - TARGETS)


def said(words: str, tmp_path: Path) -> str:
    result = run(*words.split(), tmp_path)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("spelled", [str, str.upper])
@pytest.mark.parametrize("word", OF_OTHERS)
def test_a_target_that_is_of_another_list(word: str, spelled, tmp_path: Path) -> None:
    line = said(f"build --model animevideov3 --target {spelled(word)} --out", tmp_path)
    assert line.startswith(f"esrdeploy: found --target {spelled(word)}, which is a ")
    profile = find_profile(re.search(r"say --target ([\w-]+)", line)[1]).name
    vendor = find_vendor(re.search(r"--vendor ([\w-]+)", line)[1])
    assert profile in vendor.profiles or not vendor.profiles
    if word in VENDORS:
        assert find_vendor(word) is vendor
    else:
        assert find_toolchain(re.search(r"simulate --target ([\w-]+)", line)[1]) == (
            find_toolchain(word)
        )


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("inspect {build}/small-fp32.onnx --rules rknn", "--rules"),
        ("inspect {build}/small-fp32.onnx --supported rknn", "--supported"),
        ("handoff --vendor rknn --profile rknn {build}", "--profile"),
        ("compare {build} --target rknn", "--target"),
        ("eval --data {build} --target rknn", "--target"),
    ],
)
def test_every_option_that_takes_a_target_says_so(
    words: str, option: str, small_build: Path
) -> None:
    result = run(*words.format(build=small_build).split())
    assert result.exit_code == 2
    assert f"found {option} rknn, which is a vendor" in result.stderr


@pytest.mark.parametrize("word", sorted(TOOLCHAINS - VENDORS - {*PROFILES}))
def test_a_vendor_that_is_a_toolchain(word: str, tmp_path: Path) -> None:
    line = said(f"handoff --vendor {word}", tmp_path)
    assert f"found --vendor {word}, which is a toolchain" in line
    assert find_vendor(re.search(r"say --vendor ([\w-]+)", line)[1])
