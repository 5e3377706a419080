"""Decode a JSON document into a typed record, or refuse it in one line.

A record is a frozen dataclass. Its annotations say what a document may hold, and pydantic holds
the document against them: nothing is converted, a key too many is refused, numbers are finite and
nesting is bounded. A key that is missing is refused even where the record has a default, and so is
one that stands twice; whatever is read is therefore what :func:`encode` would write. The first
difference is named by its path:

    manifest.json: network.scale is missing; build again

The version of a format is a field of its record, ``schema`` or ``schema_version``. It is judged
before the others, so a file of an older version is not said to lack what it could not have.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

from calib.digest import canonical_json
from calib.errors import EsrdeployError
from calib.files import read_whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")

_SHA256 = r"^[0-9a-f]{64}$"
_PLAIN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_PLAIN_NAME = rf"^{_PLAIN}$"
_PLAIN_PATH = rf"^{_PLAIN}(/{_PLAIN})*$"
_PATTERNS = {
    _SHA256: "the 64 hexadecimal digits of a sha256",
    _PLAIN_NAME: "a plain name of at most 200 letters, digits, '.', '_' and '-'",
    _PLAIN_PATH: "plain names joined by '/'",
}

Sha256 = Annotated[str, StringConstraints(pattern=_SHA256)]
PlainName = Annotated[str, StringConstraints(pattern=_PLAIN_NAME)]
PlainPath = Annotated[str, StringConstraints(pattern=_PLAIN_PATH)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Positive = Annotated[int, Field(ge=1, lt=1 << 63)]
Scale = Annotated[int, Field(ge=1, le=8)]
FEWEST_PX, MOST_PX, MOST_BATCH = 16, 2048, 64
"""Bounds of a network's input (calib/tile.py)."""

SidePx = Annotated[int, Field(ge=FEWEST_PX, le=MOST_PX)]
Batch = Annotated[int, Field(ge=1, le=MOST_BATCH)]
Percentile = Annotated[float, Field(gt=50, le=100)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Integer64 = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]

_CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}  # it takes milliseconds to make one
_SCHEMAS = ("schema", "schema_version")
_KINDS = {
    "a valid array": "a list",
    "a valid boolean": "true or false",
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid string": "a string",
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHOWN_CHARACTERS = 60


def encode(record: "DataclassInstance") -> bytes:
    """Return the one JSON document of a record: equal records have equal bytes."""
    return canonical_json(asdict(record))


def read(
    path: Path,
    kind: type[Record],
    refuse: type[EsrdeployError],
    remedy: str,
    source: str | None = None,
) -> Record:
    """Read the record of a file.

    Args:
        path: the file.
        kind: a frozen dataclass.
        refuse: error to raise.
        remedy: what the user can do about it, such as ``build again``.
        source: what messages call the file; ``None``: its path.

    Raises:
        EsrdeployError: ``refuse``; the file is missing, or holds no such record.
    """
    try:
        content = read_whole(path)
    except OSError as error:
        raise refuse(
            f"{source or path} cannot be read: {error.strerror or error}; {remedy}"
        ) from error
    return decode(content, kind, source or str(path), refuse, remedy)


def decode(
    content: bytes, kind: type[Record], source: str, refuse: type[EsrdeployError], remedy: str
) -> Record:
    """Return the record that a JSON document holds; see :func:`read`.

    Raises:
        EsrdeployError: ``refuse``, with ``source`` and the path inside the document.
    """
    try:
        record = adapter_of(kind).validate_json(content)
    except ValidationError as error:
        raise refuse(f"{source}{_said(error)}; {remedy}") from error
    except EsrdeployError as error:  # from the record's __post_init__
        raise refuse(f"{source}: {error}; {remedy}") from error
    # Neither pydantic nor another library looks for these two.
    found = json.loads(content, object_pairs_hook=_mark_repeated)
    for problem in _differences(asdict(record), found, ()):
        raise refuse(f"{source}: {problem}; {remedy}")
    return record


def adapter_of(kind: type[Record]) -> TypeAdapter[Record]:
    """Return what holds documents against a record, made once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(with_config(_CONFIG)(kind))
    return _ADAPTERS[kind]


def _said(error: ValidationError) -> str:
    """Return what is wrong, the version of the format before anything else."""
    problems = error.errors(include_url=False)
    versions = [item for item in problems if item["loc"] and item["loc"][-1] in _SCHEMAS]
    first, count = (versions or problems)[0], len(versions or problems)
    if first["type"] == "json_invalid":
        return f" is not JSON: {first['ctx']['error']}"
    more = f" and {count - 1} more" if count > 1 else ""
    return f"{': ' if first['loc'] else ' '}{_problem(first)}{more}"


def _problem(item: ErrorDetails) -> str:
    where = spell_path(item["loc"])
    if item["type"] == "missing":
        return f"{where} is missing"
    if item["type"] == "unexpected_keyword_argument":
        return f"{where} is not expected"
    if item["type"] == "value_error":
        return f"{where} {item['ctx']['error']}".strip()
    found = f"{where} is {_shown(item['input'])}".strip()
    if item["type"] == "string_pattern_mismatch":
        return f"{found}, expected {_PATTERNS[item['ctx']['pattern']]}"
    _, _, expected = item["msg"].partition(" should ")
    kind = expected.removeprefix("be ")
    words = _KINDS.get(kind, kind if kind != expected else f"to {expected}")
    return f"{found}, expected {words}"


def spell_path(path: Sequence[int | str]) -> str:
    """Return a path inside a document as one reads it.

    >>> spell_path(("artifacts", 3, "sha256"))
    'artifacts[3].sha256'
    >>> spell_path(("edges", "/body/Conv_output", "scale"))
    'edges["/body/Conv_output"].scale'
    """
    text = ""
    for step in path:
        if isinstance(step, str) and _IDENTIFIER.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{json.dumps(step)}]"
    return text.removeprefix(".")


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


_REPEATED = None
"""Stands for a key that occurs twice in an object, in the place of a key, which None cannot be."""


def _mark_repeated(pairs: list[tuple[str, Any]]) -> dict[str | None, Any]:
    found: dict[str | None, Any] = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        found[_REPEATED] = next(key for key in keys if keys.count(key) > 1)
    return found


def _differences(written: object, found: object, path: tuple[int | str, ...]) -> Iterator[str]:
    """Say which keys a document lacks or has twice, of all that its record is written with."""
    if isinstance(written, Mapping) and isinstance(found, Mapping):
        if _REPEATED in found:
            yield f"{spell_path((*path, found[_REPEATED]))} stands there twice"
        for key, value in written.items():
            if key in found:
                yield from _differences(value, found[key], (*path, key))
            else:
                yield f"{spell_path((*path, key))} is missing"
    elif isinstance(written, (list, tuple)) and isinstance(found, list):
        for position, (left, right) in enumerate(zip(written, found, strict=True)):
            yield from _differences(left, right, (*path, position))
