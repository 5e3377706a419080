"""Whose scales a result has decides its limit, and the verdict says which and why."""

import json
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from deploy.handoff.bundle_manifest import VendorRecord, read_contents
from deploy.handoff.returned.limit import decide
from deploy.handoff.vendors import vendors
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import judge, save_all

VENDORS = {
    name: VendorRecord(name, "qnn", vendor.quantizes_itself) for name, vendor in vendors().items()
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_without_a_word_it_is_as_the_vendors_tools_do(vendor: str) -> None:
    limit = decide("int8", "qnn", VENDORS[vendor], None)
    assert limit.scales == ("own" if VENDORS[vendor].quantizes_itself else "ours")
    other = {"own": "ours", "ours": "own"}[limit.scales]
    assert vendor in limit.text
    assert f"--scales {other}, if" in limit.text


@pytest.mark.parametrize("scales", ["ours", "own"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_the_user_decides(vendor: str, scales: str) -> None:
    limit = decide("int8", "qnn", VENDORS[vendor], scales)
    assert (limit.scales, limit.asked) == (scales, True)
    ours = "what our int8 qnn reaches less 3 dB, at least 27 dB,"
    needed = {"own": "27 dB", "ours": ours}[scales]
    assert limit.text == f"{needed} on each picture: --scales {scales}"


@pytest.mark.parametrize(("precision", "needed"), [("fp16", "55 dB"), ("fp32", "80 dB")])
def test_float_has_no_scales(precision: str, needed: str) -> None:
    text = decide(precision, "qnn", VENDORS["qnn"], None).text
    assert text == f"{needed} on each picture: --precision {precision}"
    with pytest.raises(UsageError, match=f"found --scales own with --precision {precision}"):
        decide(precision, "qnn", VENDORS["qnn"], "own")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("scales", ["ours", "own", None])
def test_every_figure_of_a_verdict_follows(
    folder: Path, unpacked: Path, outputs, vendor: str, scales: str | None
) -> None:
    rng = np.random.default_rng(0)
    save_all(folder, outputs, lambda a: a + rng.normal(0, 0.035, a.shape).astype(np.float32))
    found = judge(folder, unpacked, vendor, scales=scales)
    taken = scales or ("own" if vendors()[vendor].quantizes_itself else "ours")
    golden = {vector.name: vector for vector in read_contents(unpacked).golden}
    for image in found.images:
        ours_db = golden[image.name].psnr_db[found.profile]
        operands_db = golden[image.name].operands_db[found.profile]
        needed_db, beyond_db = (27.0, 6.02) if taken == "own" else (ours_db - 3, 3.0)
        assert image.required_db == pytest.approx(needed_db, abs=1e-3)
        assert image.most_db == pytest.approx(operands_db + beyond_db)
        assert taken == "ours" or image.shared_error is None
    assert found.passed == (taken == "own")
    record = found.record()
    assert (record["scales"], record["scales_asked_for"]) == (taken, scales is not None)
    assert record["limit"] == found.limit.text
    if taken == "ours":
        (line,) = found.too_far_off
        assert line.endswith("; scales of a tool's own need 27 (--scales own)")
    else:
        assert found.too_far_off == ()


def test_the_command_and_its_page_say_which(
    folder: Path, unpacked: Path, outputs, tmp_path: Path
) -> None:
    save_all(folder, outputs)
    words = ("verify", "--returned", folder, unpacked, "--vendor", "rknn", "--profile", "openvino")
    usual = run(*words)
    assert usual.exit_code == 0, usual.output
    said = " ".join(usual.stdout.split())
    assert "limit: 27 dB on each picture: rknn chooses its own scales" in said
    page = tmp_path / "verdict.html"
    asked = run(*words, "--scales", "ours", "--report", page, "--json")
    assert asked.exit_code == 0, asked.output
    record = json.loads(asked.stdout)
    assert record["limit"].startswith("what our int8 openvino reaches less 3 dB, at least 27")
    assert f"Limit: {record['limit']}." in page.read_text()
    refused = run(*words, "--scales", "ours", "--precision", "fp16")
    assert refused.exit_code == 2
    assert "only int8 outputs have scales" in refused.stderr
