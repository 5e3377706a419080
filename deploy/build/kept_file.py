"""Keep what a stage of a build has made as one file of named arrays, until the build is whole.

A file says what it was made from. One that is missing, damaged or of something else counts as none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from calib.archive import content_digest, read_archive, write_archive
from calib.arrays import AnyArray
from calib.errors import CalibrationError
from calib.records import Sha256, decode, encode

Arrays = dict[str, AnyArray]


@dataclass(frozen=True)
class KeptRecord:
    """What stands in such a file beside its arrays; each stage adds the names of its own.

    Attributes:
        made_from: digest of all that the arrays follow from.
        arrays_sha256: digest of the arrays.
    """

    made_from: Sha256
    arrays_sha256: Sha256


Record = TypeVar("Record", bound=KeptRecord)


def numbered(**kinds: Iterable[AnyArray]) -> Arrays:
    """Return arrays of several kinds under the names that a file has for them, KIND-PLACE."""
    return {
        f"{kind}-{place}": value
        for kind, values in kinds.items()
        for place, value in enumerate(values)
    }


def listed(arrays: Mapping[str, AnyArray], kind: str, count: int) -> list[AnyArray]:
    """Return the arrays of one kind in their order; the record holds how many there are."""
    return [arrays[f"{kind}-{place}"] for place in range(count)]


def named(arrays: Mapping[str, AnyArray], kind: str, names: Sequence[str]) -> Arrays:
    """Return the arrays of one kind by their own names, which the record holds in their order."""
    return dict(zip(names, listed(arrays, kind, len(names)), strict=True))


def write_kept(path: Path, record: KeptRecord, arrays: Arrays) -> None:
    """Write a file; it appears whole or not at all."""
    write_archive(path, arrays, record=encode(record), compress=False)


def read_kept(path: Path, kind: type[Record], made_from: str) -> tuple[Record, Arrays] | None:
    """Return what a file holds, or ``None`` where it is missing, damaged or of something else.

    Args:
        path: the file.
        kind: of its record.
        made_from: digest of all that the arrays must follow from.
    """
    if not path.is_file():
        return None
    try:
        arrays, content = read_archive(path)
        record = decode(content or b"", kind, path.name, CalibrationError, "build again")
    except CalibrationError:
        return None
    if (record.made_from, record.arrays_sha256) != (made_from, content_digest(arrays)):
        return None
    return record, arrays
