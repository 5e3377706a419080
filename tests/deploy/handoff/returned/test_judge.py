"""What a vendor sends back is read in every form, judged, and its usual slips are named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from calib.errors import UsageError, VerificationError
from calib.images import resize_area, to_picture, write_image
from deploy.cli import app
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.returned.files import Codes, OutputFormat, match_files, read_output
from deploy.handoff.returned.judge import Returned, ReturnedRequest, judge_returned
from deploy.progress import Silent

Array = np.ndarray


@pytest.fixture(scope="session")
def outputs(unpacked: Path) -> dict[str, Array]:
    """What our own int8 gives for each golden input: a good return."""
    names = [vector.name for vector in read_contents(unpacked).golden]
    return {name: np.load(unpacked / golden_path("int8-openvino", name)) for name in names}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "returned"
    path.mkdir()
    return path


def judge(folder: Path, bundle: Path, vendor: str = "openvino", **options: object) -> Returned:
    return judge_returned(ReturnedRequest(folder, bundle, vendor, **options), Silent())


def save_all(folder: Path, outputs: dict[str, Array], change=lambda array: array) -> None:
    for name, array in outputs.items():
        np.save(folder / f"{name}.npy", change(array))


def test_a_good_return_is_accepted(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    found = judge(folder, unpacked)
    assert found.passed
    assert found.problems == ()
    assert found.cause is None
    assert len(found.images) == 8
    for image in found.images:
        assert image.between_db == 200.0
        assert image.psnr_db == pytest.approx(image.ours_db, abs=0.01)
        assert image.required_db == pytest.approx(max(27, image.ours_db - 3), abs=1e-3)


def as_npz(folder: Path, name: str, array: Array) -> None:
    np.savez(folder / f"{name}.npz", output_0=array)


def as_npz_of_another_key(folder: Path, name: str, array: Array) -> None:
    np.savez(folder / f"{name}.npz", sr=array)


def as_half(folder: Path, name: str, array: Array) -> None:
    np.save(folder / f"{name}.npy", array[0].astype(np.float16))


def as_nhwc(folder: Path, name: str, array: Array) -> None:
    np.save(folder / f"{name}.npy", array.transpose(0, 2, 3, 1))


def as_hwc_double(folder: Path, name: str, array: Array) -> None:
    np.save(folder / f"{name}.npy", array[0].transpose(1, 2, 0).astype(np.float64))


def as_raw(folder: Path, name: str, array: Array) -> None:
    (folder / f"{name}.raw").write_bytes(array.astype("<f4").tobytes())


def as_raw_half(folder: Path, name: str, array: Array) -> None:
    (folder / f"{name}.bin").write_bytes(array.astype("<f2").tobytes())


def as_codes_in_npz(folder: Path, name: str, array: Array) -> None:
    codes = np.clip(np.rint(np.clip(array, 0, 1) * 255) - 128, -128, 127).astype(np.int8)
    scale, zero_point = np.float32(1 / 255), np.int32(-128)
    np.savez(folder / f"{name}.npz", output_0=codes, scale=scale, zero_point=zero_point)


def as_raw_codes(folder: Path, name: str, array: Array) -> None:
    codes = np.clip(np.rint(np.clip(array, 0, 1) * 255) - 128, -128, 127).astype(np.int8)
    (folder / f"{name}.raw").write_bytes(codes.tobytes())
    fields = {"dtype": "int8", "scale": 1 / 255, "zero_point": -128}
    (folder / "quantization.json").write_text(json.dumps(fields))


def as_picture(folder: Path, name: str, array: Array) -> None:
    np.save(folder / f"{name}.npy", to_picture(array))


def with_words_around(folder: Path, name: str, array: Array) -> None:
    np.save(folder / f"run3_{name}_output.npy", array)


FORMS = [
    as_npz,
    as_npz_of_another_key,
    as_half,
    as_nhwc,
    as_hwc_double,
    as_raw,
    as_raw_half,
    as_codes_in_npz,
    as_raw_codes,
    as_picture,
    with_words_around,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(folder: Path, unpacked: Path, outputs, form) -> None:
    for name, array in outputs.items():
        form(folder, name, array)
    found = judge(folder, unpacked)
    assert found.problems == ()
    # 8-bit codes round to half a level, 58.9 dB; fp16 to far less.
    assert min(image.between_db for image in found.images) > 55


def test_qnn_net_run_numbers_its_results(folder: Path, unpacked: Path, outputs) -> None:
    for number, array in enumerate(outputs.values()):
        (folder / f"Result_{number}").mkdir()
        (folder / f"Result_{number}" / "output.raw").write_bytes(array.tobytes())
    found = judge(folder, unpacked)
    assert found.problems == ()
    assert {image.between_db for image in found.images} == {200.0}


def test_codes_and_layout_can_be_said_on_the_command_line(
    folder: Path, unpacked: Path, outputs
) -> None:
    for name, array in outputs.items():
        codes = np.rint(np.clip(array, 0, 1) * 200).astype(np.uint8)
        (folder / f"{name}.raw").write_bytes(codes.transpose(0, 2, 3, 1).tobytes())
    reading = OutputFormat("nhwc", Codes.parse("uint8:0.005:0"))
    found = judge(folder, unpacked, reading=reading)
    assert found.problems == ()
    assert min(image.between_db for image in found.images) > 55


def shifted(array: Array) -> Array:
    return np.roll(array, 1, axis=3)


SPOILS = {
    "channels swapped": lambda array: array[:, ::-1],
    "layout": lambda array: np.ascontiguousarray(array.transpose(0, 2, 3, 1)).reshape(array.shape),
    "times 255": lambda array: array * 255,
    "over 255": lambda array: array / 255,
    "shift": shifted,
    "clipped": lambda array: np.clip(array, 0.25, 0.75),
}
NAMED = {
    "channels swapped": r"channels swapped",
    "layout": r"layout|interleaved",
    "times 255": r"255",
    "over 255": r"255",
    "shift": r"shift|moved",
    "clipped": r"clip|cut off",
}


@pytest.mark.parametrize("spoil", list(SPOILS))
def test_a_spoiled_return_is_diagnosed_by_name(
    folder: Path, unpacked: Path, outputs, spoil: str
) -> None:
    save_all(folder, outputs, SPOILS[spoil])
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.cause is not None
    assert re.search(NAMED[spoil], found.cause), found.cause


def test_nan_is_named(folder: Path, unpacked: Path, outputs) -> None:
    def spoil(array: Array) -> Array:
        spoiled = array.copy()
        spoiled[0, 0, :4] = np.nan
        return spoiled

    save_all(folder, outputs, spoil)
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.cause is not None
    assert "NaN" in found.cause
    assert {image.psnr_db for image in found.images} == {0.0}
    json.dumps(found.record(), allow_nan=False)


def test_missing_extra_and_twice_are_named(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    (folder / "03-brick.npy").unlink()
    np.save(folder / "again-00-chelsea.npy", outputs["00-chelsea"])
    (folder / "log.txt").write_text("done")
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.problems == (
        "missing: no file for the golden input 03-brick",
        "twice: 00-chelsea.npy, again-00-chelsea.npy all belong to the golden input 00-chelsea",
        "extra: log.txt belongs to no golden input by its name",
    )


def test_a_file_with_another_name_is_recognised_by_its_picture(
    folder: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs)
    (folder / "03-brick.npy").rename(folder / "result.npy")
    found = judge(folder, unpacked)
    assert (
        "extra: result.npy belongs to no golden input by its name; it shows 03-brick: rename it"
    ) in found.problems


def test_two_files_with_exchanged_names_are_misnamed(folder: Path, unpacked: Path, outputs) -> None:
    exchanged = {**outputs, "02-coins": outputs["03-brick"], "03-brick": outputs["02-coins"]}
    save_all(folder, exchanged)
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.problems == (
        "misnamed: 02-coins.npy belongs to 02-coins by its name, but shows 03-brick",
        "misnamed: 03-brick.npy belongs to 03-brick by its name, but shows 02-coins",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (np.zeros((1, 3, 128, 128), np.float32), r"has shape \[1, 3, 128, 128\]; expected"),
        (np.zeros((1, 1, 256, 256), np.float32), "has shape"),
        (np.zeros((1, 3, 256, 256), np.int8), "int8 values without scale and zero point"),
        (b"not an array", "cannot be read"),
        ({"a": 0, "b": 1}, "expected output_0"),
        (bytes(100), "has 100 bytes; expected 786432 of float32"),
    ],
    ids=["small", "gray", "codes", "text", "keys", "short"],
)
def test_a_file_that_cannot_be_used_is_named(
    folder: Path, unpacked: Path, outputs, content: object, problem: str
) -> None:
    save_all(folder, outputs)
    (folder / "04-chelsea.npy").unlink()
    match content:
        case dict():
            np.savez(folder / "04-chelsea.npz", **content)
        case bytes():
            suffix = ".raw" if len(content) == 100 else ".npy"
            (folder / f"04-chelsea{suffix}").write_bytes(content)
        case _:
            np.save(folder / "04-chelsea.npy", content)
    found = judge(folder, unpacked)
    assert not found.passed
    (line,) = found.problems
    assert re.search(rf"unusable: 04-chelsea\S+ .*{problem}", line), line


def test_pickles_are_refused(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(VerificationError, match="cannot be read"):
        read_output(folder / "x.npy", (2, 2), OutputFormat())


def test_an_empty_folder_is_not_accepted(folder: Path, unpacked: Path) -> None:
    found = judge(folder, unpacked)
    assert not found.passed
    assert len(found.problems) == 8
    with pytest.raises(UsageError, match="found no folder"):
        match_files(folder / "absent", ["x"])


def test_precisions_are_held_against_their_own_tolerance(
    folder: Path, unpacked: Path, outputs
) -> None:
    floats = {name: np.load(unpacked / golden_path("float", name)) for name in outputs}
    save_all(folder, floats, lambda array: array + np.float32(1.6e-3))
    verdicts = {
        precision: judge(folder, unpacked, precision=precision)
        for precision in ("fp32", "fp16", "int8")
    }
    assert {p: found.images[0].required_db for p, found in verdicts.items()} == {
        "fp32": 80.0,
        "fp16": 55.0,
        "int8": pytest.approx(verdicts["int8"].images[0].ours_db - 3, abs=1e-3),
    }
    assert {p: found.passed for p, found in verdicts.items()} == {
        "fp32": False,
        "fp16": True,
        "int8": False,  # 56 dB, and ours reaches more than 59 on this tiny network
    }


def test_tools_with_their_own_scales_are_held_against_a_floor(
    folder: Path, unpacked: Path, outputs
) -> None:
    rng = np.random.default_rng(0)
    save_all(folder, outputs, lambda a: a + rng.normal(0, 0.02, a.shape).astype(np.float32))
    found = judge(folder, unpacked, "rknn")
    assert {image.required_db for image in found.images} == {27.0}
    assert found.passed
    assert found.profile == "qnn"
    assert not judge(folder, unpacked, "tensorrt").passed


def test_the_target_and_the_profile_have_to_be_in_the_bundle(
    folder: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs)
    with pytest.raises(VerificationError, match="say with --vendor whose results"):
        judge_returned(ReturnedRequest(folder, unpacked), Silent())
    with pytest.raises(VerificationError, match="not for abacus"):
        judge(folder, unpacked, "abacus")
    with pytest.raises(UsageError, match="no int8 model 'ort'"):
        judge(folder, unpacked, profile="ort")
    assert judge(folder, unpacked, "qnn", profile="qnn-w8a16").profile == "qnn-w8a16"


def test_scores_against_photographs(folder: Path, unpacked: Path, outputs, tmp_path: Path) -> None:
    save_all(folder, outputs)
    photos = tmp_path / "hr"
    photos.mkdir()
    expected = to_picture(np.load(unpacked / golden_path("float", "04-chelsea")))
    write_image(photos / "chelsea.png", resize_area(expected, 512, 512))
    found = {image.name: image.photo for image in judge(folder, unpacked, hr=photos).images}
    assert [name for name, photo in found.items() if photo is not None] == ["04-chelsea"]
    score = found["04-chelsea"]
    assert score is not None
    assert score.float_model[0] > 60  # the photograph is its own picture, enlarged and reduced
    assert score.returned == score.int8_model
    assert score.returned[0] < score.float_model[0]


@pytest.mark.parametrize("text", ["int8:1", "int8:x:0", "int4:1:0", "int8:0:0", "int8:-1:0"])
def test_codes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"found (--codes|outputs)"):
        Codes.parse(text)


def test_a_broken_quantization_file_is_named(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    (folder / "quantization.json").write_text('{"scale": 1}')
    with pytest.raises(UsageError, match="does not say dtype, scale and zero_point"):
        judge(folder, unpacked)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class TestCommand:
    """The command line: exit codes, JSON, and the page."""

    def test_accepted(self, folder: Path, unpacked: Path, outputs) -> None:
        save_all(folder, outputs)
        result = run("verify", "--returned", folder, unpacked, "--vendor", "openvino")
        assert result.exit_code == 0, result.output
        assert "accepted" in result.stdout
        assert "beside our openvino" in result.stdout
        again = run("verify", "--returned", folder, unpacked, "--vendor", "openvino")
        assert again.exit_code == 0, "its own report is no extra file"

    def test_not_accepted(self, folder: Path, unpacked: Path, outputs) -> None:
        save_all(folder, outputs, lambda array: array[:, ::-1])
        result = run("verify", "--returned", folder, unpacked, "--vendor", "openvino", "--json")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert not found["passed"]
        assert "channels swapped" in found["cause"]
        assert found["images"][0]["finding"]["psnr_db_after"] > 50
        assert json.loads((folder / "returned-report.json").read_text()) == found

    def test_bad_usage(self, tmp_path: Path, unpacked: Path) -> None:
        result = run("verify", "--returned", tmp_path / "absent", unpacked, "--vendor", "rknn")
        assert result.exit_code == 2
        assert "found no folder" in result.stderr

    def test_the_page_is_whole_and_fetches_nothing(
        self, folder: Path, unpacked: Path, outputs, tmp_path: Path
    ) -> None:
        save_all(folder, outputs, shifted)
        np.save(folder / "<script>.npy", np.zeros(3))
        page = tmp_path / "report" / "page.html"
        page.parent.mkdir()
        run("verify", "--returned", folder, unpacked, "--vendor", "openvino", "--report", page)
        html = page.read_text()
        assert page.with_suffix(".json").is_file()
        assert "Not accepted as int8" in html
        assert "Likely cause:" in html
        assert "<script" not in html
        assert "&lt;script&gt;.npy" in html
        sources = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)]*)', html)
        assert len(sources) == 3 * 8
        assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
        assert html.count('alt="') == len(sources)
        assert "prefers-color-scheme: dark" in html


def test_the_returned_pictures_of_a_report_are_those(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    found = judge(folder, unpacked)
    for name, (expected, picture) in found.pictures.items():
        assert expected.shape == (256, 256, 3)
        np.testing.assert_array_equal(picture, to_picture(outputs[name]))
