import stat
import struct
import zipfile
from pathlib import Path

import pytest

from calib.errors import UsageError, VerificationError
from deploy.handoff import bundle_zip as bundle
from deploy.handoff.bundle_zip import pack, require_place, unpack
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.progress import Silent

FILES = {"README.md": b"read me", "models/net.onnx": bytes(range(256)), "a/b/c.npy": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "bundle"


def test_what_was_packed_is_unpacked(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "x.zip")
    unpack(tmp_path / "x.zip", tmp_path / "again")
    again = tmp_path / "again"
    found = {
        p.relative_to(again).as_posix(): p.read_bytes() for p in again.rglob("*") if p.is_file()
    }
    assert found == FILES


def test_bytes_depend_on_names_and_contents_alone(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "first.zip")
    for path in folder.rglob("*"):
        path.chmod(0o700)
    (folder / "README.md").write_bytes(b"read me")  # another time of change
    pack(folder, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        names = archive.namelist()
        assert names == sorted(FILES)
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("/etc/passwd", stat.S_IFREG, "absolute path"),
        ("C:/windows/x", stat.S_IFREG, "absolute path"),
        ("\\\\server\\x", stat.S_IFREG, "absolute path"),
        ("../outside", stat.S_IFREG, "leaves the folder"),
        ("a/../../outside", stat.S_IFREG, "leaves the folder"),
        ("a\\..\\outside", stat.S_IFREG, "no portable name"),
        ("a//b", stat.S_IFREG, "empty step"),
        ("link", stat.S_IFLNK, "link or a device"),
        ("device", stat.S_IFCHR, "link or a device"),
        ("README.MD", stat.S_IFREG, "twice but for case"),
    ],
)
def test_an_unsafe_entry_refuses_the_whole_zip(
    tmp_path: Path, name: str, mode: int, reason: str
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("README.md", b"harmless")
        archive.writestr(entry(name, mode), b"content")
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(VerificationError, match=reason):
        unpack(tmp_path / "x.zip", inside)
    assert not list(inside.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "x.zip"]


def test_an_entry_with_a_password_is_refused(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "x.zip")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    central = content.index(b"PK\x01\x02")
    struct.pack_into("<H", content, central + 8, 1)
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(VerificationError, match="password"):
        unpack(tmp_path / "x.zip", tmp_path / "inside")


def test_a_zip_that_would_fill_the_disk_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(folder, tmp_path / "x.zip")
    monkeypatch.setattr(bundle, "LARGEST_BYTES", 100)
    with pytest.raises(VerificationError, match="263 bytes, expected at most 100"):
        unpack(tmp_path / "x.zip", tmp_path / "inside")


def test_a_damaged_zip_is_named(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "x.zip")
    content = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(VerificationError, match=r"cut\.zip is no whole zip"):
        unpack(tmp_path / "cut.zip", tmp_path / "inside")
    flipped = bytearray(content)
    flipped[content.index(bytes(range(256))) + 9] ^= 1
    (tmp_path / "flipped.zip").write_bytes(flipped)
    with pytest.raises(VerificationError, match="Bad CRC"):
        unpack(tmp_path / "flipped.zip", tmp_path / "inside2")


def test_a_missing_zip_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found no bundle"):
        unpack(tmp_path / "absent.zip", tmp_path)


def test_a_place_where_no_zip_can_lie_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place, reason in (
        (tmp_path, "it is a folder; name the zip itself"),
        (tmp_path / "file" / "x.zip", "is no folder; name another place"),
        (tmp_path / "file" / "below" / "x.zip", "is no folder; name another place"),
    ):
        with pytest.raises(UsageError, match=reason):
            require_place(place)
        request = HandoffRequest(tmp_path / "no build", ("rknn",), out=place)
        with pytest.raises(UsageError, match=reason):  # not: that there is no build
            make_handoff(request, Silent())
    require_place(tmp_path / "new" / "x.zip")
    require_place(Path("x.zip"))
