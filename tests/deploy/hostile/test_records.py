"""Manifests, plans, tables and parity files that lie are refused by every command that reads one.

tests/deploy/verify/test_malformed_files.py spoils every value of each; here stands what a stranger
would write.
"""

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib.archive import read_archive, write_archive
from tests.deploy.builds import ARRAYS, INT8, PLAN, TABLE, rehash
from tests.deploy.hostile.hostile import refusal, require

MANIFEST, PARITY = "manifest.json", "parity.json"
DEEP = 100_000
Change = Callable[[dict[str, Any]], object]

# Every command that reads a manifest, and its exit status: what claims to be a build is judged;
# what a build is added to is an input.
READERS = {
    "verify": ("verify {build}", 1),
    "report": ("report {build}", 1),
    "handoff": ("handoff {build} --vendor vacc --out {folder}/x.zip", 1),
    "eval": ("eval --data {folder} --builds {builds}", 1),
    "build": ("build --model tiny --weights {weights} --out {builds}", 2),
    "inspect": ("inspect {build}", 0),
}


def name_of_artifact(name: str) -> Change:
    return lambda manifest: manifest["artifacts"][0].update(path=name)


def at(*path: str | int, value: object) -> Change:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


MANIFESTS: dict[str, tuple[Change | bytes, str]] = {
    "a parent path": (name_of_artifact("../../etc/passwd"), "plain name"),
    "an absolute path": (name_of_artifact("/etc/passwd"), "plain name"),
    "a drive": (name_of_artifact("C:\\x.onnx"), "plain name"),
    "a NUL": (name_of_artifact("x\0.onnx"), "plain name"),
    "an empty name": (name_of_artifact(""), "plain name"),
    "a hidden name": (name_of_artifact(".unfinished"), "plain name"),
    "a line break": (name_of_artifact("x\n.onnx"), "plain name"),
    "a name of 10^6 letters": (name_of_artifact("x" * 10**6), "plain name"),
    "a model in a parent folder": (at("model", value="../tiny"), "plain name"),
    "pictures in a parent folder": (
        at("verified_on", "images", "patches", 0, "name", value="../../secret.png"), "verified_on",
    ),
    "pictures at an absolute path": (
        at("verified_on", "images", "patches", 0, "name", value="/etc/passwd"), "verified_on",
    ),
    "pictures with a NUL": (
        at("verified_on", "images", "patches", 0, "name", value="a\0.png"), "verified_on",
    ),
    "other pictures than the figures": (
        at("verified_on", "images", "patches", 0, "sha256", value="0" * 64), "verified_on|images",
    ),
    "a digest of 63 digits": (at("artifacts", 0, "sha256", value="0" * 63), "64 hexadecimal"),
    "a size below 0": (at("artifacts", 0, "size_bytes", value=-1), "size_bytes"),
    "a size beyond 64 bits": (at("artifacts", 0, "size_bytes", value=10**30), "size_bytes"),
    "a tile of 10^9 pixels": (at("network", "tile", "height_px", value=10**9), "height_px"),
    "a batch of 10^6": (at("network", "tile", "batch", value=10**6), "batch"),
    "a scale of 0": (at("network", "scale", value=0), "scale"),
    "a scale of 2^40": (at("network", "scale", value=1 << 40), "scale"),
    "another schema": (at("schema_version", value=999), "schema_version"),
    "no schema": (lambda manifest: manifest.pop("schema_version"), "schema_version"),
    "no artifacts": (at("artifacts", value=[]), "artifacts|fp32"),
    "an artifact twice": (
        lambda manifest: manifest["artifacts"].append(manifest["artifacts"][0]), "twice",
    ),
    "a target that is none": (at("options", "targets", value={}), "targets"),
    "a key too many": (at("surprise", value=1), "surprise"),
    "100,000 levels": (b"[" * DEEP, "not JSON"),
    "0 bytes": (b"", "not JSON"),
    "zeros": (bytes(4096), "not JSON"),
    "no UTF-8": (b'{"a": "\xff"}', "not JSON"),
    "UTF-16": ("{}".encode("utf-16"), "not JSON"),
    "a list": (b"[]", "expected an object"),
    "NaN": (b'{"schema_version": NaN}', "schema_version|not JSON"),
    "10^6 digits": (b'{"schema_version": ' + b"9" * 10**6 + b"}", "schema_version|not JSON"),
}  # fmt: skip


def written(path: Path, change: Change | bytes) -> None:
    """Change a JSON document, or write another."""
    if isinstance(change, bytes):
        path.write_bytes(change)
        return
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture
def names(copy: Path, tiny_weights: Path) -> dict[str, object]:
    return {"build": copy, "builds": copy.parent, "weights": tiny_weights}


@pytest.mark.parametrize(("change", "says"), MANIFESTS.values(), ids=MANIFESTS)
def test_manifests(
    change: Change | bytes, says: str, copy: Path, names: dict[str, object], tmp_path: Path
) -> None:
    written(copy / MANIFEST, change)
    require(refusal("verify {build}", tmp_path, names), file=MANIFEST, says=says, code=1)


@pytest.mark.parametrize(("command", "code"), [*READERS.values()][:-1], ids=[*READERS][:-1])
def test_every_command_that_reads_a_manifest(
    command: str, code: int, copy: Path, names: dict[str, object], tmp_path: Path
) -> None:
    written(copy / MANIFEST, name_of_artifact("../../etc/passwd"))
    require(refusal(command, tmp_path, names), file=MANIFEST, says="plain name", code=code)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(path: Path) -> None:
    path.symlink_to("absent")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [loop, nothing, folder], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", [MANIFEST, INT8, PLAN, TABLE, ARRAYS, PARITY])
def test_names_without_a_file(
    make: Callable[[Path], None], name: str, copy: Path, names: dict[str, object], tmp_path: Path
) -> None:
    (copy / name).unlink()
    make(copy / name)
    refused = refusal("verify {build}", tmp_path, names)
    says = "Too many|loop|directory|missing|no manifest|cannot be read|no file"
    require(refused, file=name, says=says, code=2 if name == MANIFEST and make != folder else 1)


PLANS: dict[str, tuple[Change | bytes, str]] = {
    "another schema": (at("schema", value="esrdeploy.plan/0"), "schema"),
    "a scale of words": (at("edges", value={"input": {"scale": "1"}}), "edges"),
    "an edge of nothing": (at("edges", value={"input": None}), "edges"),
    "codes beyond 64 bits": (at("rounded", value={"codes": 1 << 70}), "rounded"),
    "0 bytes": (b"", "not JSON"),
    "zeros": (bytes(4096), "not JSON"),
    "100,000 levels": (b'{"a":' * DEEP, "not JSON"),
    "a key twice": (b'{"schema": 1, "schema": 2}', "schema"),
}


@pytest.mark.parametrize(("change", "says"), PLANS.values(), ids=PLANS)
def test_plans(
    change: Change | bytes, says: str, copy: Path, names: dict[str, object], tmp_path: Path
) -> None:
    written(copy / PLAN, change)
    rehash(copy)
    require(refusal("verify {build}", tmp_path, names), file=PLAN, says=says, code=1)


TABLES: dict[str, tuple[Change | bytes, str]] = {
    "of another network": (at("network_digest", value="0" * 64), "network"),
    "another digest of its arrays": (at("arrays_sha256", value="0" * 64), "digest"),
    "another schema": (at("schema", value="esrdeploy.calibration/9"), "schema"),
    "no tensors": (at("tensors", value=[]), "tensors|values|need"),
    "bins beyond the arrays": (at("tensors", 0, "bins", value=1 << 40), "need|values"),
    "channels beyond the arrays": (at("tensors", 0, "channels", value=1 << 60), "need|values"),
    "an exponent of 2^40": (at("tensors", 0, "exponent", value=1 << 40), "tensors"),
    "a first bin of 2^62": (at("tensors", 0, "first_bin", value=1 << 62), "tensors"),
    "a minimum above its maximum": (at("tensors", 0, "minimum", value=1e30), "tensors"),
    "a name twice": (
        lambda table: table["tensors"][1].update(name=table["tensors"][0]["name"]), "tensors",
    ),
    "sizes of 10^9": (at("images", "size", "height_px", value=10**9), "height_px"),
    "no images": (at("images", "patches", value=[]), "images|network"),
    "NaN": (lambda table: table["tensors"][0].update(minimum=float("nan")), "not JSON|minimum"),
    "100,000 levels": (b"[" * DEEP + b"]" * DEEP, "not JSON"),
    "0 bytes": (b"", "not JSON"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "not JSON"),
}  # fmt: skip

CALIBRATED = (
    "build --model tiny --weights {weights} --calib-table {build}/calibration.json "
    "--out {folder}/out"
)


@pytest.mark.parametrize(("change", "says"), TABLES.values(), ids=TABLES)
def test_tables(  # noqa: PLR0917  # fixtures
    change: Change | bytes, says: str, copy: Path, names: dict[str, object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    written(copy / TABLE, change)
    if "network" in says:  # what the table is of is known when the network is exported
        monkeypatch.undo()
    require(refusal(CALIBRATED, tmp_path, names), file=TABLE, says=says, code=2)


def as_objects(path: Path) -> None:
    np.savez(path, counts=np.array([{}], dtype=object), allow_pickle=True)


def as_floats(path: Path) -> None:
    arrays, _ = read_archive(path)
    write_archive(path, {**arrays, "counts": np.ones(4)}, compress=True)


def declared(shape: tuple[int, ...]) -> Callable[[Path], None]:
    """State a shape in the header of an array that is not there."""

    def make(path: Path) -> None:
        header = str({"descr": "<i8", "fortran_order": False, "shape": shape}).encode()
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("counts.npy", npy)

    return make


def swollen(path: Path) -> None:
    """State 4 GB for every entry of the zip."""
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 24 : at + 28] = b"\xf0\xff\xff\xff"
        at = content.find(b"PK\x01\x02", at + 4)
    path.write_bytes(content)


def twice(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("counts.npy", archive.read("counts.npy"))


ARCHIVES: dict[str, Callable[[Path], object]] = {
    "no zip": lambda path: path.write_bytes(b"no zip"),
    "0 bytes": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a flipped bit": lambda path: path.write_bytes(_flip(path.read_bytes())),
    "10^15 values": declared((10**15,)),
    "-1 values": declared((-1,)),
    "2^70 values": declared((1 << 70,)),
    "1,000 dimensions": declared((1,) * 1000),
    "pickled objects": as_objects,
    "other types": as_floats,
    "a bomb": swollen,
    "an array twice": twice,
    "a loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
}


def _flip(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


@pytest.mark.parametrize("make", ARCHIVES.values(), ids=ARCHIVES)
def test_arrays_of_tables(
    make: Callable[[Path], object], copy: Path, names: dict[str, object], tmp_path: Path
) -> None:
    make(copy / ARRAYS)
    says = "cannot be read|damaged|digest"
    require(refusal(CALIBRATED, tmp_path, names), file="calibration", says=says, code=2)


def test_a_build_holds_no_link_to_elsewhere(built: Path, copy: Path, tmp_path: Path) -> None:
    """A file of a build that is a link is followed: what it holds has the digest or not."""
    secret = tmp_path / "secret"
    shutil.copy(built / PARITY, secret)
    secret.write_bytes(secret.read_bytes() + b" ")
    (copy / PARITY).unlink()
    (copy / PARITY).symlink_to(secret)
    refused = refusal("verify {build} --backend none", tmp_path, {"build": copy})
    require(refused, file=PARITY, says="sha256|bytes", code=1)
