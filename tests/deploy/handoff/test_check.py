import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from deploy.handoff.bundle_manifest import SCHEMA, read_contents
from deploy.handoff.bundle_zip import pack, unpack
from deploy.handoff.check import BundleCheck, check_bundle
from deploy.progress import Silent
from tests.deploy.builds import run


def check(bundle: Path) -> BundleCheck:
    return check_bundle(bundle, Silent())


def failures(bundle: Path) -> dict[str, str]:
    found = check(bundle)
    assert not found.passed
    return {item.artifact: item.detail for item in found.checks if item.status == "failed"}


@pytest.fixture
def folder(vacc_only: Path, tmp_path: Path) -> Path:
    """A bundle's folder that a test may spoil."""
    unpack(vacc_only, tmp_path / "bundle")
    return tmp_path / "bundle"


def rehash(folder: Path, name: str) -> None:
    """Make the manifest agree with a changed file, as somebody who wants to hide it would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for file in manifest["files"]:
        if file["path"] == name:
            file["sha256"] = sha256_file(folder / name)
            file["size_bytes"] = (folder / name).stat().st_size
    path.write_text(json.dumps(manifest))


def test_a_good_bundle_passes_wherever_it_lies(vacc_only: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mail" / "from-the-office.zip"
    elsewhere.parent.mkdir()
    shutil.copy(vacc_only, elsewhere)
    found = check(elsewhere)
    assert found.passed, found.record()
    assert found.vendors == ("vacc",)
    assert any(item.name == "golden outputs" for item in found.checks)
    assert [path.name for path in elsewhere.parent.iterdir()] == [elsewhere.name]


def test_every_target_of_a_bundle_passes(handed_over) -> None:
    found = check(handed_over.path)
    assert found.passed, [item for item in found.checks if item.status == "failed"]
    assert not [item for item in found.checks if item.status == "skipped"]


def test_a_bundle_that_was_packed_anew_passes(folder: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    folder.rename(outer / "small-handoff")
    pack(outer, tmp_path / "again.zip")
    assert check(tmp_path / "again.zip").passed


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "processing.py",
        "models/small-fp32.onnx",
        "models/small-int8-openvino.onnx",
        "golden/float/00-chelsea.npy",
        "vacc/npz/00-chelsea.npz",
        "vacc/vdsp_params.json",
    ],
)
def test_one_flipped_byte_fails_and_names_the_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0x40
    (folder / name).write_bytes(content)
    found = failures(folder)
    assert set(found) == {name}
    assert "the manifest records" in found[name]


def test_a_missing_and_an_added_file_are_named(folder: Path) -> None:
    (folder / "vacc" / "build-int8.yaml").unlink()
    (folder / "vacc" / "notes.txt").write_text("mine")
    assert failures(folder) == {
        "vacc/build-int8.yaml": "is missing",
        "vacc/notes.txt": "is not in the manifest",
    }


def test_another_weight_behind_a_mended_digest_fails(folder: Path) -> None:
    name = "models/small-fp32.onnx"
    model = onnx.load(folder / name)
    tensor = next(t for t in model.graph.initializer if t.name == "conv_last.weight")
    weight = numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    onnx.save(model, folder / name)
    rehash(folder, name)
    found = failures(folder)
    assert set(found) == {name}
    assert "dB from golden/float, expected at least 100.0 dB" in found[name]


def test_another_golden_input_behind_a_mended_digest_fails(folder: Path) -> None:
    name = "golden/input/00-chelsea.npy"
    array = np.load(folder / name)
    np.save(folder / name, array[:, ::-1])
    rehash(folder, name)
    assert failures(folder)[name] == "is not its picture divided by 255"


def test_a_golden_output_that_is_no_array_fails(folder: Path) -> None:
    name = "golden/int8-openvino/02-coins.npy"
    np.save(folder / name, np.array([{"a": 1}]), allow_pickle=True)
    rehash(folder, name)
    found = failures(folder)
    assert "02-coins.npy is no array file" in found["models/small-int8-openvino.onnx"]


SMALL = {"known_as": None, "same_architecture_as": [], "architecture": "", "scale": 2}
SMALL |= {"parameters": 1, "macs": 1}


def edited(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema": "esrdeploy.handoff/1"}, f"expected '{SCHEMA}'"),
        ({"golden": []}, "names the golden vectors"),
        ({"vendors": []}, "is for no vendor"),
        ({"surprise": 1}, "manifest.json: surprise is not expected"),
        ({"float_model": "models/other.onnx"}, "does not name models/other.onnx"),
        ({"int8_models": {}}, "has no int8 model 'openvino' to judge vacc by"),
        ({"network": SMALL | {"scale": 0}}, "network.scale is 0, expected greater than"),
        ({"network": {}}, "network.architecture is missing and 6 more"),
        (
            {"files": [{"path": "../x", "sha256": "0" * 64, "size_bytes": 1}]},
            r'files\[0\]\.path is "\.\./x", expected plain names joined',
        ),
        ({"files": [{"path": "x", "sha256": "no", "size_bytes": 1}]}, "the 64 hexadecimal digits"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    folder: Path, fields: dict[str, object], message: str
) -> None:
    edited(folder, **fields)
    with pytest.raises(VerificationError, match=message):
        read_contents(folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def swapped(path: Path) -> None:
    edit_zip(path, "golden/float/00-chelsea.npy", b"another file")


def no_manifest(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.png", b"not a bundle")


def broken_manifest(path: Path) -> None:
    edit_zip(path, "manifest.json", b"{")


def edit_zip(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, kept in {**files, name: content}.items():
            archive.writestr(entry, kept)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda _: None, 0),
        (swapped, 1),
        (cut, 1),
        (broken_manifest, 1),
        (no_manifest, 2),
        (lambda path: path.write_text("a letter"), 2),
        (lambda path: path.unlink(), 2),
    ],
    ids=["good", "swapped", "cut", "broken manifest", "no manifest", "text", "absent"],
)
def test_exit_code_1_is_a_bundle_that_is_not_good_and_2_is_none(
    vacc_only: Path, tmp_path: Path, spoil, code: int
) -> None:
    path = Path(shutil.copy(vacc_only, tmp_path))
    spoil(path)
    result = run("handoff", "--check", path)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("photo.png", b"not a bundle")
    with pytest.raises(UsageError, match="so it is no bundle"):
        check(tmp_path / "x.zip")
    with pytest.raises(UsageError, match="found no bundle"):
        check(tmp_path / "absent.zip")
    with pytest.raises(UsageError, match=r"expected one \*-handoff\.zip"):
        check(tmp_path)


def test_no_script_of_a_bundle_is_run(folder: Path) -> None:
    trap = "raise SystemExit('a script of the bundle was run')\n"
    (folder / "processing.py").write_text(trap)
    rehash(folder, "processing.py")
    assert check(folder).passed
