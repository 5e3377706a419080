"""A return that is not of this bundle is told what it is of."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.sample import sample_patches
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.returned.recognise import foreign, thumb
from deploy.handoff.returned.shared_error import shared_error
from deploy.runtime.runner import model_runner
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import Array, judge, save_all

OTHER_PICTURES = "other pictures than the golden inputs enlarged"
OTHER_NETWORK = "the golden inputs, drawn by another network, in fewer bits or with other scales"


def planes(picture: Array) -> Array:
    return np.ascontiguousarray(picture.astype(np.float32).transpose(2, 0, 1)[np.newaxis] / 255)


@pytest.fixture
def others(outputs) -> dict[str, Array]:
    """Photographs that are no golden input, in the size of outputs."""
    patches = sample_patches("calibration", len(outputs)).patches
    shown = [cv2.resize(patch.load(), (256, 256)) for patch in patches]
    return dict(zip(outputs, map(planes, shown), strict=True))


@pytest.fixture
def enlarged(unpacked: Path) -> dict[str, Array]:
    """The golden inputs enlarged without any network: what one of other weights does at worst."""

    def blurred(name: str) -> Array:
        array = np.load(unpacked / golden_path("input", name))[0].transpose(1, 2, 0)
        return planes(255 * cv2.resize(cv2.blur(array, (3, 3)), (256, 256)))

    return {vector.name: blurred(vector.name) for vector in read_contents(unpacked).golden}


def test_other_pictures_under_the_names_of_golden_inputs(folder, unpacked, others) -> None:
    save_all(folder, others)
    found = judge(folder, unpacked)
    assert (found.cause or "").startswith(OTHER_PICTURES)
    assert "correlates r = " in (found.explanation or "")


def test_other_pictures_under_names_of_their_own(folder, unpacked, others) -> None:
    save_all(folder, {f"photo{number}": array for number, array in enumerate(others.values())})
    found = judge(folder, unpacked)
    assert found.images == ()
    assert found.cause == "outputs for the inputs of another bundle"
    assert "8 of 8 outputs show no golden picture" in (found.explanation or "")


def test_a_few_strangers_are_not_another_bundle(folder, unpacked, others, outputs) -> None:
    mixed = [*list(others.values())[:3], *list(outputs.values())[3:]]
    save_all(folder, {f"photo{number}": array for number, array in enumerate(mixed)})
    found = judge(folder, unpacked)
    assert found.cause is None
    assert sum("shows no golden picture" in line for line in found.problems) == 3
    assert sum("rename it" in line for line in found.problems) == 5


def test_the_same_pictures_by_another_network(folder, unpacked, enlarged) -> None:
    save_all(folder, enlarged)
    found = judge(folder, unpacked, "qnn", precision="fp16")
    assert not found.passed
    assert OTHER_NETWORK in {image.cause for image in found.images}


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.69, 0.71, 0.94, 0.96, 1.0])
def test_what_is_neither_clearly_gets_no_cause(alike: float) -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=(2, 1, 3, 32, 32)).astype(np.float32)
    thumbs = {"a": thumb(one)}
    mixed = alike * thumbs["a"] + (1 - alike**2) ** 0.5 * orthogonal(thumb(other), thumbs["a"])
    array = np.broadcast_to(mixed, (1, 3, 32, 32)).astype(np.float32)
    found = foreign("a", array, thumbs, 20.0)
    expected = OTHER_PICTURES if alike < 0.7 else OTHER_NETWORK if alike > 0.95 else None
    assert (None if found is None else found.cause) == expected
    assert found is None or f"r = {alike:.2f}" in found.explanation


def orthogonal(one: Array, other: Array) -> Array:
    rest = one - (one * other).mean() * other
    return rest / rest.std()


class TestNoise:
    """Noise on float outputs is not taken for the rounding of the int8 file."""

    def noisy(self, unpacked: Path, profile: str) -> dict[str, Array]:
        generator = np.random.default_rng(3)

        def of(vector) -> Array:
            array = np.load(unpacked / golden_path("float", vector.name))
            spread = 10 ** (-vector.psnr_db[profile] / 20)
            return (array + generator.normal(0, spread, array.shape)).astype(np.float32)

        return {vector.name: of(vector) for vector in read_contents(unpacked).golden}

    @pytest.mark.parametrize("profile", ["openvino", "tensorrt", "tensorrt-10", "qnn", "qnn-w8a16"])
    def test_it_is_refused_by_what_it_does_not_share(self, folder, unpacked, profile) -> None:
        save_all(folder, self.noisy(unpacked, profile))
        vendor = profile.partition("-")[0]
        found = judge(folder, unpacked, vendor, profile=profile)
        assert not found.passed
        refused = [image for image in found.images if image.errs_otherwise]
        assert len(refused) + sum(image.far_off or image.too_near for image in found.images) == 8
        assert refused
        assert any(line.startswith("not this int8: ") for line in found.refusals)
        assert {image.verdict for image in refused} == {"other errors"}

    def test_a_tool_of_other_scales_is_not_asked(self, folder, unpacked) -> None:
        save_all(folder, self.noisy(unpacked, "qnn"))
        found = judge(folder, unpacked, "rknn", profile="qnn")
        assert {image.shared_error for image in found.images} == {None}

    def test_errors_are_compared_as_they_are_seen(self) -> None:
        expected = np.full((1, 3, 4, 4), 0.5, np.float32)
        ours = expected + np.float32(0.1)
        assert shared_error(expected, ours, expected + np.float32(0.2)) == pytest.approx(1.0)
        assert shared_error(expected, ours, expected - np.float32(9.0)) == pytest.approx(-1.0)
        assert shared_error(expected, ours, expected) == 1.0


def test_bytes_without_a_scale_are_told_in_the_verdict(
    folder, unpacked, outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_all(folder, outputs, lambda array: np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8))
    judged = ["--vendor", "rknn", "--profile", "openvino"]
    result = run("verify", "--returned", folder, unpacked, *judged)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    words = "uint8 without scale and zero point, taken as value / 255"
    assert f"taken: 8 of 8 outputs are {words}" in said
    assert f"accepted; {words}" in said


@pytest.mark.parametrize("sigma", [0.03, 0.06, 0.2])
@pytest.mark.parametrize("kind", ["float", "int8-openvino"])
def test_noise_is_named_and_no_other_network(
    folder: Path, unpacked: Path, kind: str, sigma: float
) -> None:
    rng = np.random.default_rng(3)
    for vector in read_contents(unpacked).golden:
        drawn = np.load(unpacked / golden_path(kind, vector.name))
        noise = rng.normal(0, sigma, drawn.shape).astype(np.float32)
        np.save(folder / f"{vector.name}.npy", drawn + noise)
    found = judge(folder, unpacked)
    assert not found.passed
    assert (found.cause or "").startswith("noise on the values")
    assert "float" in (found.explanation or "") or "our int8" in (found.explanation or "")


def test_our_int8_that_is_itself_too_far_off_is_no_other_network(
    folder: Path, unpacked: Path, outputs, tmp_path: Path
) -> None:
    """A bundle whose golden pictures its int8 does not reach: whoever ran it well is told so."""

    def blurred(array: Array) -> Array:
        return planes(255 * cv2.blur(array[0].transpose(1, 2, 0), (31, 31)))

    worse = {name: blurred(array) for name, array in outputs.items()}
    bundle = Path(shutil.copytree(unpacked, tmp_path / "worse"))
    manifest = read_contents(bundle)
    for name, array in worse.items():
        np.save(bundle / golden_path("int8-openvino", name), array)
    low = tuple(
        replace(vector, psnr_db={**vector.psnr_db, "openvino": 17.0}) for vector in manifest.golden
    )
    (bundle / "manifest.json").write_bytes(replace(manifest, golden=low).content())
    save_all(folder, worse, lambda array: array + np.float32(1e-4))
    found = judge(folder, bundle)
    assert not found.passed
    assert (found.cause or "").startswith("our own int8 file, which is too far from float")
    assert "it was run well" in (found.explanation or "")
    fp16 = judge(folder, bundle, precision="fp16")
    assert "our own int8" not in (fp16.cause or "")


def test_a_float_graph_for_tools_that_quantize_is_known(folder: Path, unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    assert manifest.quantizable_models
    for profile, path in manifest.quantizable_models.items():
        run_model = model_runner(unpacked / path, optimized=True)
        for vector in manifest.golden:
            drawn = run_model(np.load(unpacked / golden_path("input", vector.name)))
            np.save(folder / f"{vector.name}.npy", drawn)
        found = judge(folder, unpacked, "rknn", precision="fp32")
        assert not found.passed
        assert found.cause == f"{path} ran in float", profile


def test_values_that_are_no_numbers_have_no_figures(folder: Path, unpacked: Path, outputs) -> None:
    def broken(array: Array) -> Array:
        return np.where(np.arange(array.shape[-1]) < 9, np.float32("nan"), array)

    save_all(folder, outputs, broken)
    found = judge(folder, unpacked)
    assert all(
        (image.psnr_db, image.between_db, image.ssim) == (0.0, 0.0, 0.0) for image in found.images
    )
    assert "values that are no numbers" in found.too_far_off[0]
    assert (found.explanation or "").startswith(f"{found.images[0].name}: ")
    said = run("verify", "--returned", folder, unpacked, "--vendor", "openvino").stdout
    rows = [line for line in said.splitlines() if "too far off \u2502" in line]
    assert len(rows) == len(found.images)
    assert all(row.count("NaN") == 3 for row in rows)
