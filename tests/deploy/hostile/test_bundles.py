"""Bundles that lie are refused before anything of them is written or run."""

import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from calib.digest import canonical_json, sha256_bytes
from tests.deploy.hostile.hostile import refusal, require
from tests.deploy.hostile.onnx_lies import LIES as ONNX

CHECK, RETURNED = "handoff --check {bundle}", "verify --returned {returned} {bundle} --vendor vacc"
COMMANDS = pytest.mark.parametrize("command", [CHECK, RETURNED], ids=["check", "returned"])
Rewrite = Callable[[zipfile.ZipFile], object]
MANIFEST = "manifest.json"


def added(name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> Rewrite:
    def rewrite(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = mode << 16
        archive.writestr(entry, content)

    return rewrite


def deep(archive: zipfile.ZipFile) -> None:
    archive.writestr(zipfile.ZipInfo("a/" * 3000 + "x"), b"")


def listed_as(name: str) -> Rewrite:
    """Add an entry under a name that zipfile itself would not write."""

    def rewrite(archive: zipfile.ZipFile) -> None:
        archive.writestr("plain", b"")
        archive.filelist[-1].filename = name

    return rewrite


# By what is put into the zip beside the good entries: what is said, with exit 1.
ENTRIES: dict[str, tuple[Rewrite, str]] = {
    "a parent path": (added("../../evil"), "leaves the folder"),
    "a parent path within": (added("models/../../evil"), "leaves the folder"),
    "an absolute path": (added("/tmp/evil"), "absolute path"),
    "a drive": (added("C:/evil"), "absolute path"),
    "a Windows path": (added("..\\evil"), "no portable name"),
    "a link": (added("link", b"/etc/passwd", stat.S_IFLNK | 0o777), "a link"),
    "a device": (added("zero", b"", stat.S_IFCHR | 0o644), "device"),
    "a pipe": (added("pipe", b"", stat.S_IFIFO | 0o644), "device"),
    "the manifest twice": (added(MANIFEST), "twice"),
    "a name twice but for case": (added("MANIFEST.json"), "twice"),
    "a file that is a folder of others": (added("models"), "folder that holds"),
    "3,000 folders deep": (deep, "long|deep"),
    "a name of 300 letters": (added("x" * 300), "long|deep"),
    "no name at all": (listed_as(""), "empty step"),
    "a name of one NUL": (listed_as("\0"), "no portable name"),
    "an empty step": (added("models//x"), "empty step"),
    "one file more": (added("evil.sh"), "not in the manifest"),
}


@pytest.fixture
def names(vacc_only: Path, tmp_path: Path) -> dict[str, object]:
    """A bundle to spoil, and an empty return."""
    bundle = tmp_path / "x-handoff.zip"
    bundle.write_bytes(vacc_only.read_bytes())
    (tmp_path / "returned").mkdir()
    return {"bundle": bundle, "returned": tmp_path / "returned"}


@pytest.mark.parametrize(("rewrite", "says"), ENTRIES.values(), ids=ENTRIES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries(rewrite: Rewrite, says: str, names: dict[str, object], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x-handoff.zip", "a") as archive:
        rewrite(archive)
    refused = refusal(CHECK, tmp_path, names)
    file = "evil.sh" if "not in" in says else "x-handoff.zip"
    require(refused, file=file, says=says, code=1)


@COMMANDS
def test_both_commands_refuse_a_zip_slip(
    command: str, names: dict[str, object], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x-handoff.zip", "a") as archive:
        added("../../evil")(archive)
    require(refusal(command, tmp_path, names), file="x-handoff.zip", says="leaves", code=1)


def central(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """State another number for the first entry in the zip's directory."""

    def change(content: bytes) -> bytes:
        spoiled = bytearray(content)
        struct.pack_into(form, spoiled, content.index(b"PK\x01\x02") + offset, value)
        return bytes(spoiled)

    return change


def bomb(content: bytes) -> bytes:
    """State 4 GB for every entry of the zip's directory."""
    spoiled = bytearray(content)
    at = spoiled.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", spoiled, at + 24, 0xFFFFFFF0)
        at = spoiled.find(b"PK\x01\x02", at + 4)
    return bytes(spoiled)


def crowded(content: bytes) -> bytes:
    """List one entry 70,000 times, in the zip64 form that so many need."""
    start = content.index(b"PK\x01\x02")
    lengths = struct.unpack_from("<HHH", content, start + 28)
    directory = content[start : start + 46 + sum(lengths)] * 70_000
    end64 = b"PK\x06\x06" + struct.pack(
        "<QHHIIQQQQ", 44, 45, 45, 0, 0, 70_000, 70_000, len(directory), start
    )
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, start + len(directory), 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content[:start] + directory + end64 + locator + end


# By what becomes of the zip's bytes: what is said, and the exit status.
BYTES: dict[str, tuple[Callable[[bytes], bytes], str, int]] = {
    "70,000 entries": (crowded, "70000 entries", 1),
    "0 bytes": (lambda _: b"", "no zip", 2),
    "a text": (lambda _: b"a bundle", "no zip", 2),
    "a gzip": (lambda _: b"\x1f\x8b" + bytes(100), "no zip", 2),
    "half": (lambda content: content[: len(content) // 2], "no whole zip", 1),
    "the end alone": (lambda content: content[-22:], "no whole zip", 1),
    "the beginning alone": (lambda content: content[:30], "no whole zip", 1),
    "another zip": (lambda _: _zip({"a.txt": b""}), "no manifest|no bundle", 2),
    "an empty zip": (lambda _: _zip({}), "no manifest|no bundle", 2),
    "a flipped bit": (lambda c: c[:9000] + bytes([c[9000] ^ 4]) + c[9001:], "zip|sha256", 1),
    "a bomb": (bomb, "would take", 1),
    "an offset beyond the end": (central(42, "<I", 0x7FFFFFFF), "whole zip|zip", 1),
    "a password": (central(8, "<H", 1), "password", 1),
    "an unknown packing": (central(10, "<H", 97), "whole zip", 1),
    "another checksum": (central(16, "<I", 7), "whole zip", 1),
}


def _zip(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(("change", "says", "code"), BYTES.values(), ids=BYTES)
def test_bytes(
    change: Callable[[bytes], bytes], says: str, code: int, names: dict[str, object], tmp_path: Path
) -> None:
    bundle = tmp_path / "x-handoff.zip"
    bundle.write_bytes(change(bundle.read_bytes()))
    refused = refusal(CHECK, tmp_path, names)
    file = "x-handoff.zip" if "sha256" not in says else ""
    require(refused, file=file, says=says, code=code)


def repacked(bundle: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the files of a bundle, and make its manifest agree with their digests."""
    with zipfile.ZipFile(bundle) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    manifest = json.loads(entries[MANIFEST])
    for file in manifest["files"]:
        content = entries.get(file["path"], b"")
        file |= {"sha256": sha256_bytes(content), "size_bytes": len(content)}
    entries[MANIFEST] = canonical_json(manifest)
    bundle.write_bytes(_zip(entries))


@pytest.mark.parametrize("lie", [*ONNX.values()][::3], ids=[*ONNX][::3])
@pytest.mark.parametrize("which", ["fp32", "int8"])
def test_models(which: str, lie, names: dict[str, object], tmp_path: Path) -> None:
    """A model that lies is found before any other of the bundle is run."""
    spoiled = ""

    def change(entries: dict[str, bytes]) -> None:
        nonlocal spoiled
        spoiled = next(name for name in entries if name.endswith(".onnx") and which in name)
        entries[spoiled] = lie.make(entries[spoiled])

    repacked(tmp_path / "x-handoff.zip", change)
    refused = refusal(CHECK, tmp_path, names)
    require(refused, file=spoiled, says=lie.says.replace("x.onnx", ""), code=1)
