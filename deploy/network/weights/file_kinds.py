"""Say what a file is that was given for weights and holds none: by its first and last bytes."""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from calib.errors import WeightsError
from calib.zips import BROKEN_ZIP_IN_MEMORY

_ZIP_START, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_MOST_GROWTH = 4  # trained weights deflate to half at best; a bomb grows a thousandfold
_ZIP_END_BYTES = 22 + (1 << 16)  # the end record, and the longest comment behind it
_LFS_START = b"version https://git-lfs.github.com/spec/"
_PACKED = {
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\xfd7zXZ": "an xz archive",
}
_HEADER_LENGTH_BYTES = 8


def require_weights_file(content: bytes, path: Path) -> None:
    """Refuse a file that cannot hold weights, by what it is.

    Args:
        content: the whole file.
        path: its name, for messages.

    Raises:
        WeightsError: it is empty, a web page, a Git LFS pointer, an archive, cut short, or unpacks
            to more than it is.
    """
    for problem in _problems(content, path):
        raise WeightsError(f"{path.name} {problem}")


def _problems(content: bytes, path: Path) -> Iterator[str]:
    if not content:
        yield "is empty; fetch the file again"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        yield "is a web page, not weights; fetch the file itself, not the page that shows it"
    if content.startswith(_LFS_START):
        yield (
            "is a Git LFS pointer that stands for the weights; run 'git lfs pull' in its "
            "repository, or fetch the file itself"
        )
    for first, kind in _PACKED.items():
        if content.startswith(first):
            yield f"is {kind}; unpack it and name the file inside"
    if content.startswith(_ZIP_START) and _ZIP_END not in content[-_ZIP_END_BYTES:]:
        yield f"is cut short after {len(content)} bytes; fetch the file again"
    elif content.startswith(_ZIP_START):
        yield from _growing_zip(content)
    if path.suffix == ".safetensors":
        yield from _cut_safetensors(content)


def is_torchscript(names: Iterable[str]) -> bool:
    """Tell from the names in a zip whether it is a TorchScript program, which is compressed."""
    return any(re.fullmatch(r"[^/]+/(?:constants\.pkl|code/.+)", name) for name in names)


def _growing_zip(content: bytes) -> Iterator[str]:
    """Compare the length of a zip with what its entries unpack to.

    ``torch.save`` packs none; whoever unpacks and zips a file again does.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            names = archive.namelist()
    except BROKEN_ZIP_IN_MEMORY:
        return  # no zip: its reader says so
    if unpacked > _MOST_GROWTH * len(content) and not is_torchscript(names):
        yield (
            f"would unpack to {unpacked} bytes, the file has {len(content)}; expected a file as "
            f"torch.save writes it, or one that unpacks to {_MOST_GROWTH} times its bytes at most"
        )


def _cut_safetensors(content: bytes) -> Iterator[str]:
    """Compare the length of a .safetensors file with what its header says."""
    if not content:
        return
    length = int.from_bytes(content[:_HEADER_LENGTH_BYTES], "little")
    begin = _HEADER_LENGTH_BYTES + length
    # A length beyond any real header is another file's first bytes.
    if len(content) < begin and content[_HEADER_LENGTH_BYTES:][:1] == b"{":
        yield f"is cut short after {len(content)} bytes, in its header; fetch the file again"
    try:
        header = json.loads(content[_HEADER_LENGTH_BYTES:begin])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"]
        needed = begin + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return  # no safetensors: its reader says so
    if isinstance(needed, int) and len(content) < needed:
        yield (
            f"is cut short after {len(content)} bytes, where its header asks for {needed}; fetch "
            "the file again"
        )
