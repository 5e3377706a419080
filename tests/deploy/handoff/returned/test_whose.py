"""A return that passes as what it is not is told of; one that is what it is said to be is not."""

from pathlib import Path

import numpy as np
import pytest

from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.returned.image_verdict import ReturnedImage
from deploy.handoff.returned.limit import Limit
from deploy.handoff.returned.whose import doubt
from deploy.handoff.vendors import vendors
from deploy.runtime.runner import model_runner
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import Array, judge, save_all

RUNS = [
    (vendor.name, profile)
    for vendor in vendors().values()
    for profile in vendor.profiles
    if profile != "tensorrt-10"
]


def computed(unpacked: Path, profile: str) -> dict[str, Array]:
    """What a runtime makes of an int8 model of the bundle, with other rounding than ours."""
    manifest = read_contents(unpacked)
    run_model = model_runner(unpacked / manifest.int8_models[profile], optimized=False)
    rng = np.random.default_rng(1)
    found = {}
    for vector in manifest.golden:
        output = run_model(np.load(unpacked / golden_path("input", vector.name)))
        found[vector.name] = output + rng.normal(0, 2e-5, output.shape).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def held(unpacked: Path) -> list[tuple[str, str]]:
    return [run for run in RUNS if run[1] in read_contents(unpacked).int8_models]


def test_what_ran_with_our_scales_is_told_of_where_it_is_judged_by_others(
    folder: Path, unpacked: Path, held
) -> None:
    assert len(held) >= 4
    for vendor, profile in held:
        save_all(folder, computed(unpacked, profile))
        ours = judge(folder, unpacked, vendor, profile=profile, scales="ours")
        assert ours.passed
        assert ours.doubt == ""
        assert ours.banner == "accepted"
        own = judge(folder, unpacked, vendor, profile=profile, scales="own")
        assert own.passed
        assert f"it looks like our int8 {profile}, " in own.doubt
        assert own.doubt.endswith("judge it with --scales ours")
        assert own.banner == f"accepted; {own.doubt}"
        assert own.record()["doubt"] == own.doubt


def test_noise_of_a_tool_of_its_own_is_in_no_doubt(folder: Path, unpacked: Path, outputs) -> None:
    rng = np.random.default_rng(0)
    strengths = iter(np.linspace(0.01, 0.03, len(outputs)))

    def noisy(array: Array) -> Array:
        return array + rng.normal(0, next(strengths), array.shape).astype(np.float32)

    save_all(folder, outputs, noisy)
    found = judge(folder, unpacked, "rknn")
    assert found.passed
    assert found.doubt == ""


@pytest.mark.parametrize("sigma", [0.01, 0.02, 0.03])
def test_float_with_noise_of_one_strength_is_in_doubt_for_a_tool_of_its_own(
    folder: Path, unpacked: Path, sigma: float
) -> None:
    rng = np.random.default_rng(0)
    for vector in read_contents(unpacked).golden:
        drawn = np.load(unpacked / golden_path("float", vector.name))
        noise = rng.normal(0, sigma, drawn.shape).astype(np.float32)
        np.save(folder / f"{vector.name}.npy", drawn + noise)
    found = judge(folder, unpacked, "rknn")
    assert found.passed
    assert "noise of one strength" in found.doubt
    assert found.banner == f"accepted; {found.doubt}"


def image(nearest: str, near_db: float, between_db: float, float_db: float) -> ReturnedImage:
    return ReturnedImage(
        "a", "a.npy", "npy", float_db, 27.0, 44.0, between_db, 0.99, 0.1,
        nearest=nearest, nearest_db=near_db,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scales", "found", "said"),
    [
        ("ours", image("qnn", 54.1, 42.7, 44.4), "judge it with --profile qnn and the --vendor"),
        ("ours", image("qnn", 48.0, 44.9, 44.4), None),
        ("ours", image("qnn", 48.0, 42.7, 44.4), "another target; ask which ran"),
        ("ours", image("tensorrt", 54.1, 54.1, 44.4), None),
        ("own", image("qnn", 54.1, 42.7, 44.4), "judge it with --scales ours --profile qnn"),
        ("own", image("tensorrt", 54.1, 54.1, 44.4), "judge it with --scales ours"),
        ("own", image("tensorrt", 48.0, 48.0, 44.4), None),
    ],
)
def test_it_takes_plain_evidence(scales: str, found: ReturnedImage, said: str | None) -> None:
    text = doubt([found], Limit("int8", "tensorrt", scales, asked=True, vendor="tensorrt"))
    assert (said is None) == (text == "")
    assert (said or "") in text
    other = image("openvino", 60.0, 60.0, 44.0)
    assert doubt([found, other], Limit("int8", "tensorrt", scales, True, "tensorrt")) == ""
    assert doubt([found], Limit("fp16", "tensorrt", scales, False, "tensorrt")) == ""


def test_the_page_says_so(folder: Path, unpacked: Path, outputs, tmp_path: Path) -> None:
    save_all(folder, outputs)
    page = tmp_path / "page.html"
    words = ("verify", "--returned", folder, unpacked, "--vendor", "rknn", "--profile", "openvino")
    result = run(*words, "--report", page)
    assert result.exit_code == 0, result.output
    assert "accepted; it looks like our int8 openvino" in " ".join(result.stdout.split())
    assert "<strong>In doubt:</strong> it looks like our int8 openvino" in page.read_text()
