"""Hash bytes, files and JSON values with sha256; write JSON in one canonical form."""

import hashlib
import json
from pathlib import Path

from calib.files import require_regular

_CHUNK_BYTES = 1 << 20


def sha256_bytes(content: bytes) -> str:
    """Return the sha256 of ``content`` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's content, read in pieces of 1 MiB.

    Raises:
        OSError: the file cannot be read, or is a device or a pipe.
    """
    require_regular(path)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: object) -> bytes:
    r"""Return ``value`` as JSON that depends on nothing but the value.

    Keys are sorted, floats take their shortest exact form, the text is ASCII and ends in a
    newline, so equal values give equal bytes.

    Raises:
        ValueError: a float is NaN or infinite, which JSON cannot say.

    >>> canonical_json({"b": 1, "a": [0.1]})
    b'{\n  "a": [\n    0.1\n  ],\n  "b": 1\n}\n'
    """
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")
