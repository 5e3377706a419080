"""Describe a record as a JSON Schema (2020-12), for who reads our files without our code.

Types and bounds are those that :mod:`calib.records` holds documents against; descriptions are the
``Attributes`` sections of the records' docstrings, so that there is one place to say what a field
means.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from calib.records import adapter_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ENTRY = re.compile(r"^    (\w+): ", re.MULTILINE)


def json_schema(kind: "type[DataclassInstance]") -> dict[str, Any]:
    """Return the JSON Schema of the documents that hold a record.

    Args:
        kind: a frozen dataclass, as :func:`calib.records.read` takes it.

    Returns:
        A schema without references outside itself. Every key is required: a document that lacks
        one is refused, also where the record has a default.
    """
    schema = adapter_of(kind).json_schema()
    definitions = schema.get("$defs", {})
    kinds = {one.__name__: one for one in _nested(kind)}
    for name, part in {**definitions, kind.__name__: schema}.items():
        if "properties" in part:
            _describe(part, kinds[name])
    return {"$schema": _DIALECT, **schema}


def _describe(schema: dict[str, Any], kind: "type[DataclassInstance]") -> None:
    text = cleandoc(kind.__doc__ or "")
    schema["description"] = _in_json_words(text.partition("\n\n")[0])
    schema["required"] = sorted(schema["properties"])
    schema["additionalProperties"] = False
    said = attribute_texts(kind)
    for name, part in schema["properties"].items():
        part.pop("title", None)
        part.pop("default", None)
        if name in said:
            part["description"] = said[name]


def attribute_texts(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says of each attribute, its bases' included.

    >>> from calib.images_record import PatchRecord
    >>> attribute_texts(PatchRecord)["sha256"]
    "digest of the patch's uint8 RGB bytes in row order"
    """
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, section = cleandoc(base.__doc__ or "").partition("Attributes:\n")
        _, *found = _ENTRY.split(section.partition("\n\n")[0])
        for name, said in zip(found[::2], found[1::2], strict=True):
            texts[name] = _in_json_words(said).rstrip(".;")
    return texts


def _in_json_words(text: str) -> str:
    """Return a docstring's text on one line; what it calls None is null in a document."""
    return " ".join(text.replace("``None``", "null").replace("``", "").split())


def _nested(kind: Any) -> Iterator[type]:
    """Yield a dataclass and every one that its fields can hold."""
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind
        hints: Mapping[str, Any] = get_type_hints(kind)
        for item in fields(kind):
            yield from _nested(hints[item.name])
    for argument in get_args(kind):
        yield from _nested(argument)
