"""What failed its verification is handed to nobody, and what a return cannot reach is told of."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.artifacts.manifest import read_manifest
from deploy.cli.next_commands import next_commands
from deploy.handoff.make import HandoffOutcome
from tests.deploy.builds import copied, edit_manifest, run

VENDORS = ["openvino", "rknn", "vacc"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_build_that_failed_is_not_handed_over(
    vendor: str, small_build: Path, tmp_path: Path
) -> None:
    folder = copied(small_build, tmp_path / "small")

    def fail(manifest: dict) -> None:
        (summary,) = (
            found for name, found in manifest["parity"]["artifacts"].items() if "int8" in name
        )
        summary |= {"passed": False, "psnr_db_min": 23.59}

    edit_manifest(folder, fail)
    refused = run("handoff", "--vendor", vendor, "--profile", "openvino", folder)
    taken = vendor != "vacc"  # takes no int8 model, so none can be asked for
    assert refused.exit_code == (1 if taken else 2), refused.output
    if taken:
        assert "failed its verification, 23.59 dB from float at worst" in refused.stderr
    assert not [*tmp_path.glob("*.zip")]


def test_a_build_that_failed_proposes_no_handoff(small_build: Path) -> None:
    manifest = read_manifest(small_build / "manifest.json")
    for passed in (True, False):
        lines = next_commands(small_build, manifest, None, None, passed=passed, chips=["intel"])
        assert any(" handoff " in line for line in lines) == passed


def test_golden_inputs_that_our_int8_does_not_reach_are_named(handed_over: HandoffOutcome) -> None:
    manifest = handed_over.manifest
    assert handed_over.below_limit_texts == ()
    low = replace(manifest.golden[1], psnr_db=dict.fromkeys(manifest.int8_models, 26.99))
    golden = (manifest.golden[0], low, *manifest.golden[2:])
    lines = replace(handed_over, manifest=replace(manifest, golden=golden)).below_limit_texts
    assert len(lines) == len(manifest.int8_models)
    for profile, line in zip(manifest.int8_models, lines, strict=True):
        assert line.startswith(f"int8 {profile} is below 27 dB on 1 of 8 golden inputs")
        assert f"({low.name})" in line
