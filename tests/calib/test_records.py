"""Every way in which a document is not its record, and the one line that says so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from calib.errors import CalibrationError, UsageError, VerificationError
from calib.records import Count, PlainName, Sha256, decode, encode, read


@dataclass(frozen=True)
class Part:
    scale: float
    kind: Literal["a", "b"] = "a"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whole:
    name: PlainName
    digest: Sha256
    size: Count
    sure: bool
    ends: tuple[float, float]
    parts: Mapping[str, Part]
    listed: tuple[Part, ...] = ()
    note: str | None = None
    extra: Part | None = None
    schema: Literal[3] = field(default=3)


GOOD = Whole(
    "n-1.x", "0" * 64, 5, True, (0.5, 1.0), {"/a/b": Part(1.5, "b", ("x",))}, (Part(2.0), Part(0.0))
)


def document(**changes: object) -> bytes:
    return json.dumps(json.loads(encode(GOOD)) | changes).encode()


def refusal(content: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        decode(content, Whole, "file.json", VerificationError, "build again")
    message = str(caught.value)
    assert message.startswith("file.json")
    assert message.endswith("; build again")
    assert "\n" not in message
    return message.removeprefix("file.json").removeprefix(": ").removesuffix("; build again")


def test_what_was_written_is_read() -> None:
    found = decode(encode(GOOD), Whole, "file.json", VerificationError, "")
    assert found == GOOD
    assert encode(found) == encode(GOOD)
    assert isinstance(found.listed, tuple)


def test_spaces_and_the_order_of_keys_do_not_matter() -> None:
    turned = json.dumps(dict(reversed(json.loads(encode(GOOD)).items())), indent=7).encode()
    assert decode(turned, Whole, "file.json", VerificationError, "") == GOOD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "7"}, 'size is "7", expected an integer'),
        ({"size": True}, "size is true, expected an integer"),
        ({"size": -1}, "size is -1, expected greater than or equal to 0"),
        ({"size": 2**70}, f"size is {2**70}, expected less than {2**63}"),
        ({"sure": 1}, "sure is 1, expected true or false"),
        ({"name": None}, "name is null, expected a string"),
        (
            {"name": "a/b"},
            "name is \"a/b\", expected a plain name of at most 200 letters, digits, '.', '_' and "
            "'-'",
        ),
        (
            {"digest": "0" * 63},
            f'digest is "{"0" * 59}..., expected the 64 hexadecimal digits of a sha256',
        ),
        ({"ends": [1]}, "ends[1] is missing"),
        ({"ends": {}}, "ends is {}, expected a list"),
        ({"parts": []}, "parts is [], expected an object"),
        ({"parts": {"/a/b": 7}}, 'parts["/a/b"] is 7, expected an object'),
        (
            {"parts": {"p": {"scale": 1, "kind": "c", "tags": []}}},
            "parts.p.kind is \"c\", expected 'a' or 'b'",
        ),
        ({"listed": [{"kind": "a", "tags": []}]}, "listed[0].scale is missing"),
        ({"listed": [{"scale": 1, "tags": []}]}, "listed[0].kind is missing"),
        (
            {"listed": [{"scale": 1, "kind": "a", "tags": [], "q": 1}]},
            "listed[0].q is not expected",
        ),
        ({"extra": "x", "note": 3}, "note is 3, expected a string and 1 more"),
        ({"surprise": {"deep": 1}}, "surprise is not expected"),
        ({"schema": 2}, "schema is 2, expected 3"),
        ({"schema": 2, "parts": 7, "size": None}, "schema is 2, expected 3"),
    ],
)
def test_the_first_difference_is_named_with_its_path(
    changes: dict[str, object], message: str
) -> None:
    assert refusal(document(**changes)) == message


@pytest.mark.parametrize("key", sorted(json.loads(encode(GOOD))))
def test_a_missing_key_is_named_whether_or_not_it_has_a_default(key: str) -> None:
    fields = json.loads(encode(GOOD))
    del fields[key]
    assert refusal(json.dumps(fields).encode()) == f"{key} is missing"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"size": 5', b'"size": 5, "size": 6', "size stands there twice"),
        (b": 1.5", b': 1.5, "scale": 2', 'parts["/a/b"].scale stands there twice'),
        (b": 1.5", b": 1e999", 'parts["/a/b"].scale is Infinity, expected a finite number'),
        (b": 1.5", b": NaN", 'parts["/a/b"].scale is NaN, expected a finite number'),
    ],
)
def test_what_python_cannot_write_is_refused(old: bytes, new: bytes, message: str) -> None:
    content = document()
    assert old in content
    assert refusal(content.replace(old, new)) == message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"parts":' * 100_000,
        b'{"parts":' * 100_000 + b"1" + b"}" * 100_000,
        document()[:-5],
        document().replace(b"n-1.x", b"n\xff"),
        document() + b"{}",
        document().replace(b": 5", b": " + b"9" * 10_000),
        b"\xff\xfe{\x00}\x00",
        b'{"name": "\\ud800"}',
    ],
    ids=["empty", "brace", "deep list", "deep objects", "deep and closed", "truncated", "not UTF-8",
         "two documents", "huge number", "UTF-16", "half a character"],
)  # fmt: skip
def test_what_is_no_json_is_refused(content: bytes) -> None:
    assert refusal(content).startswith(" is not JSON: ")


@pytest.mark.parametrize("content", [b"7", b"null", b"[]", b'"x"', b"true"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    assert refusal(content) == f" is {content.decode()}, expected an object"


def test_the_caller_says_which_error(tmp_path: Path) -> None:
    for refuse in (VerificationError, CalibrationError, UsageError):
        with pytest.raises(refuse, match=r"absent\.json cannot be read: No such file"):
            read(tmp_path / "absent.json", Whole, refuse, "")
