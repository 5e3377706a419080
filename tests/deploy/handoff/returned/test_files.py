"""What a vendor sends back is read in every form, and matched to the golden inputs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from calib.images import to_picture, write_image
from deploy.handoff.returned.files import OutputFormat, match_files
from deploy.handoff.returned.quantization import OutputQuantization
from tests.deploy.handoff.returned.returns import Array, judge, save_all


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


def as_npz_called_npy(folder: Path, name: str, array: Array) -> None:
    as_npz(folder, name, array)
    (folder / f"{name}.npz").rename(folder / f"{name}.npy")


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
    as_npz_called_npy,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(folder: Path, unpacked: Path, outputs, form) -> None:
    for name, array in outputs.items():
        form(folder, name, array)
    found = judge(folder, unpacked)
    assert found.problems == ()
    assert bool(found.assumptions) == (form is as_picture)
    # 8-bit codes round to half a level, 58.9 dB; fp16 to far less.
    assert min(image.between_db for image in found.images) > 55


def test_qnn_net_run_numbers_its_results(folder: Path, unpacked: Path, outputs) -> None:
    for number, array in enumerate(outputs.values()):
        (folder / f"Result_{number}").mkdir()
        (folder / f"Result_{number}" / "output.raw").write_bytes(array.tobytes())
    found = judge(folder, unpacked)
    assert found.problems == ()
    assert min(image.between_db for image in found.images) > 80  # golden files are rounded


def test_codes_and_layout_can_be_said_on_the_command_line(
    folder: Path, unpacked: Path, outputs
) -> None:
    for name, array in outputs.items():
        codes = np.rint(np.clip(array, 0, 1) * 200).astype(np.uint8)
        (folder / f"{name}.raw").write_bytes(codes.transpose(0, 2, 3, 1).tobytes())
    reading = OutputFormat("nhwc", OutputQuantization.parse("uint8:0.005:0"))
    found = judge(folder, unpacked, reading=reading)
    assert found.problems == ()
    assert min(image.between_db for image in found.images) > 55


def test_missing_extra_and_twice_are_named(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    (folder / "03-brick.npy").unlink()
    np.save(folder / "again-00-chelsea.npy", outputs["00-chelsea"])
    np.save(folder / "other.npy", np.zeros_like(outputs["00-chelsea"]))
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.problems == (
        "missing: no file for the golden input 03-brick",
        "twice: 00-chelsea.npy, again-00-chelsea.npy all belong to the golden input 00-chelsea",
        "extra: other.npy belongs to no golden input by its name, and shows no golden picture "
        "(r = 0.00 with 00-chelsea, the nearest)",
    )


BESIDE = ["log.txt", "README", "run/00-chelsea.png", "00-chelsea.json", "model.bin", "scales.npz"]


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_no_output_fails_nothing(folder: Path, unpacked: Path, outputs, name: str) -> None:
    save_all(folder, outputs)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"PK of no output")
    found = judge(folder, unpacked)
    assert found.passed
    assert found.beside == (name,)
    assert found.left_aside_texts == (f"1 file is no output and not looked at, such as {name}",)


def test_pictures_for_outputs_are_told_what_is_read(folder: Path, unpacked: Path, outputs) -> None:
    for name, array in outputs.items():
        write_image(folder / f"{name}.png", to_picture(array))
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.problems[0] == (
        "missing: no file for the golden input 00-chelsea; 00-chelsea.png is in no form that is "
        "read: send .npy, .npz with output_0, or headerless .raw or .bin"
    )
    assert [line.partition(":")[0] for line in found.problems] == ["missing"] * len(outputs)
    assert found.left_aside_texts == ()  # each file is named once


def test_golden_files_that_came_back_beside_the_outputs_are_left_aside(
    folder: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs)
    shutil.copytree(unpacked / "golden", folder / "golden")
    shutil.copy(unpacked / "README.md", folder)
    found = judge(folder, unpacked)
    assert found.passed
    assert {image.file for image in found.images} == {f"{name}.npy" for name in outputs}
    bundled = [path for path in (folder / "golden").rglob("*") if path.is_file()]
    assert len(found.left_aside) == len(bundled) + 1
    (line,) = found.left_aside_texts
    assert line.startswith(f"{len(found.left_aside)} files are the bundle's own")


def test_golden_files_alone_are_no_outputs_and_take_few_lines(folder: Path, unpacked: Path) -> None:
    shutil.copytree(unpacked / "golden", folder / "golden")
    found = judge(folder, unpacked)
    assert not found.passed
    assert found.problems == ()
    (line,) = found.refusals
    assert line.startswith("copied: 8 of 8 outputs are the bundle's own golden/float")


def test_of_many_problems_of_a_kind_a_few_are_shown(folder: Path, unpacked: Path, outputs) -> None:
    for number in range(40):
        np.save(folder / f"run{number}.npy", np.zeros_like(outputs["00-chelsea"], np.float16))
    found = judge(folder, unpacked)
    assert len(found.problems) == 48
    kinds = [line.partition(":")[0] for line in found.shown_problems]
    assert kinds == ["missing"] * 4 + ["extra"] * 4
    assert found.shown_problems[-1] == "extra: and 37 more; --json lists each"


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
    verdicts = {image.name: image.verdict for image in found.images if not image.passed}
    assert verdicts == {"02-coins": "shows 03-brick", "03-brick": "shows 02-coins"}


def test_the_cause_is_the_one_that_most_outputs_share(
    folder: Path, unpacked: Path, outputs
) -> None:
    exchanged = {**outputs, "02-coins": outputs["03-brick"], "03-brick": outputs["02-coins"]}
    save_all(folder, {**exchanged, "04-chelsea": outputs["04-chelsea"][:, ::-1]})
    found = judge(folder, unpacked)
    assert found.cause == "the picture of another golden input (in 2 of 3)"
    assert found.explanation == (
        "02-coins.npy shows 03-brick: name each output as its input is named"
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


def test_an_empty_folder_is_not_accepted(folder: Path, unpacked: Path) -> None:
    found = judge(folder, unpacked)
    assert not found.passed
    assert len(found.problems) == 8
    with pytest.raises(UsageError, match="found no folder"):
        match_files(folder / "absent", ["x"])


@pytest.mark.parametrize("text", ["int8:1", "int8:x:0", "int4:1:0", "int8:0:0", "int8:-1:0"])
def test_codes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"found (--output-quantization|outputs of)"):
        OutputQuantization.parse(text)


def test_a_broken_quantization_file_is_named(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    (folder / "quantization.json").write_text('{"scale": 1}')
    with pytest.raises(UsageError, match=r"dtype is missing .* give dtype, scale and zero_point"):
        judge(folder, unpacked)
