"""Every way to spoil a JSON document, value by value, as somebody does who edits or cuts a file.

Of a list or mapping with many entries of one kind the first and the last are spoiled.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

VALUES: tuple[Any, ...] = (7, "x", {}, [], None, True, 1e999)
DEPTH = 100_000
_ALL_KEYS = 20

Path = tuple[int | str, ...]


@dataclass(frozen=True)
class Spoiled:
    """A document with one thing wrong.

    Attributes:
        path: to the value that was spoiled.
        change: what was done to it.
        content: the document's bytes.
    """

    path: Path
    change: str
    content: bytes

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'document'} {self.change}"


def spoiled_values(content: bytes) -> Iterator[Spoiled]:
    """Replace, remove and add at every depth; what leaves the document as it is does not count."""
    document = {"": json.loads(content)}  # the document itself may be replaced as a value in it is
    unspoiled = _written(document[""])
    for path in [*_places(document[""], ())]:
        *steps, last = ("", *path)
        holder = _at(document, tuple(steps))
        value = holder[last]
        for other in VALUES:
            holder[last] = other
            written = _written(document[""])
            if written != unspoiled:  # True == 1, but not as they are written
                yield Spoiled(path, f"= {json.dumps(other)}", written)
        holder[last] = value
        if path:
            yield Spoiled(path, "missing", _without(document[""], path))
        if isinstance(value, dict):
            value["surprise"] = 1
            yield Spoiled((*path, "surprise"), "added", _written(document[""]))
            del value["surprise"]


def spoiled_texts(content: bytes) -> Iterator[Spoiled]:
    """Spoil the text of a document."""
    first = next(iter(json.loads(content)))
    texts = {
        "a deep list": b"[" * DEPTH + b"]" * DEPTH,
        "deep objects": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
        "a deep value": json.dumps({first: 0}).encode().replace(b"0", b"[" * DEPTH),
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "not UTF-8": content.replace(b'"', b'"\xff', 1),
        "a key twice": content.replace(b"{", json.dumps({first: 1}).encode()[:-1] + b",", 1),
        "two documents": content + content,
    }
    for change, text in texts.items():
        yield Spoiled((), change, text)


def _places(value: object, path: Path) -> Iterator[Path]:
    yield path
    steps: list[int | str] = []
    if isinstance(value, dict):
        steps = [*value]
        steps = steps if len(steps) <= _ALL_KEYS else [steps[0], steps[-1]]
    elif isinstance(value, list):
        steps = sorted({0, len(value) - 1}) if value else []
    for step in steps:
        yield from _places(value[step], (*path, step))  # type: ignore[index]


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _without(document: object, path: Path) -> bytes:
    """Return the document as it is written with a value left out."""
    holder = _at(document, path[:-1])
    if isinstance(holder, list):
        entry = holder.pop(path[-1])
        written = _written(document)
        holder.insert(path[-1], entry)
        return written
    kept = dict(holder)
    del holder[path[-1]]
    written = _written(document)
    holder.clear()
    holder.update(kept)  # in the order that it had
    return written


def _written(document: object) -> bytes:
    return json.dumps(document).replace("Infinity", "1e999").encode()
