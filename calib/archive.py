"""Write named arrays and a JSON record as one file whose bytes depend on nothing else.

The file is a zip that ``numpy.load`` reads, written with fixed dates and flags. It appears under
its name only when it is complete, so whoever is killed while writing leaves the old file.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from calib.arrays import AnyArray
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError
from calib.files import whole_file
from calib.npy import parse_arrays, read_npz

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can name
_RECORD = "record.json"


def write_archive(
    path: Path,
    arrays: Mapping[str, AnyArray],
    *,
    record: bytes | None = None,
    compress: bool,
) -> None:
    """Write arrays, and a record if given, to ``path``, replacing what was there at once.

    Raises:
        UsageError: the file cannot be written.
    """
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:
        if record is not None:
            with archive.open(_entry(_RECORD, kind), "w") as stream:
                stream.write(record)
        for name, array in arrays.items():
            with archive.open(_entry(f"{name}.npy", kind), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def read_archive(path: Path) -> tuple[dict[str, AnyArray], bytes | None]:
    """Return the arrays of a file that :func:`write_archive` made.

    Raises:
        CalibrationError: the file is missing, damaged, or holds something else.
    """
    try:
        entries = read_npz(path)
        record = entries.pop(_RECORD, None)
        return parse_arrays(entries), record
    except OSError as error:
        raise CalibrationError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CalibrationError(
            f"{path.name} cannot be read, it is truncated or damaged: it {error}"
        ) from error


def content_digest(arrays: Mapping[str, AnyArray]) -> str:
    """Return one sha256 over names, dtypes, shapes and values; not over how they are packed."""
    return sha256_bytes(
        canonical_json(
            {
                name: [array.dtype.str, list(array.shape), sha256_bytes(array.tobytes())]
                for name, array in arrays.items()
            }
        )
    )


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = kind
    entry.create_system = 3  # "Unix", whatever the platform
    entry.external_attr = 0o644 << 16
    return entry
