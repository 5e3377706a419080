"""Write the pages of the documentation site that say what the code says itself.

They are made of the command line, the JSON Schemas and the docstrings of ``deploy.api``, so they
cannot lag behind them.
"""

import html
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from deploy import api
from deploy.cli import app

ROOT = Path(__file__).parents[2]


def commands_page() -> str:
    """Return every command with all of its options, in Markdown."""
    parts = ["# Commands and options", "Every command answers `--help`.", ""]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        context = command.make_context(name, [], resilient_parsing=True)
        parts += [f"## esrdeploy {name}", "", _prose(command.help or ""), ""]
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        parts += ["```text", f"esrdeploy {usage}", "```", "", "| option | |", "|---|---|"]
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if record is None:
                record = (parameter.name.upper(), getattr(parameter, "help", None) or "")
            names = " ".join(f"<code>{_html(name)}</code>" for name in record[0].split())
            parts.append(f"| {names} | {_html(_prose(record[1]))} |")
        parts.append("")
    return "\n".join(parts) + "\n"


def files_page() -> str:
    """Return every JSON file with its keys, from the published schemas, in Markdown."""
    intro = (
        "Each of these is held by a JSON Schema in `docs/schemas/`. A key that goes or changes its "
        "meaning raises the version; a reader refuses a version that it does not know."
    )
    parts = ["# Files", "", intro, ""]
    for path in sorted((ROOT / "docs" / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        parts += [f"## {path.name.removesuffix('.schema.json')}", ""]
        parts += [_prose(schema.get("description", "")), "", *_keys(schema), ""]
        for name, inner in schema.get("$defs", {}).items():
            if "properties" in inner:
                parts += [f"### {name}", "", _prose(inner.get("description", "")), ""]
                parts += [*_keys(inner), ""]
    return "\n".join(parts) + "\n"


def python_page() -> str:
    """Return every public name of ``deploy.api`` with its docstring, in Markdown."""
    parts = ["# deploy.api", "", "[How to use it](../python.md).", ""]
    for name in sorted(api.__all__, key=lambda name: (not name.islower(), name)):
        item = getattr(api, name)
        called = f"{name}{_signature(item)}" if inspect.isfunction(item) else f"class {name}"
        parts += [f"## {name}", "", "```text", called, "```", ""]
        parts += ["```text", _plain(inspect.cleandoc(item.__doc__ or "")), "```", ""]
    return "\n".join(parts) + "\n"


def _signature(function: Callable[..., Any]) -> str:
    """Return a signature without the modules of types and the addresses of values."""
    short = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", str(inspect.signature(function)))
    return re.sub(r"<(\w+) object at 0x[0-9a-f]+>", r"\1()", short)


def _keys(schema: dict[str, Any]) -> Iterator[str]:
    yield from ("| key | type | |", "|---|---|---|")
    for key, value in schema.get("properties", {}).items():
        yield f"| `{key}` | {_cell(_type(value))} | {_cell(_prose(value.get('description', '')))} |"


def _type(value: dict[str, Any]) -> str:
    """Return what a value of a schema may be, in words."""
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "$ref" in value:
        return str(value["$ref"]).rsplit("/", 1)[-1]
    if "const" in value or "enum" in value:
        return ", ".join(map(repr, value.get("enum", [value.get("const")])))
    kind = str(value.get("type", "anything"))
    if kind == "array" and isinstance(value.get("items"), dict):
        kind = f"array of {_type(value['items'])}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        kind = f"mapping to {_type(value['additionalProperties'])}"
    return kind


def _plain(text: str) -> str:
    """Return text without reStructuredText's marks."""
    return re.sub(r":\w+:`~?([^`]+)`|``([^`]+)``", lambda mark: mark[1] or mark[2], text)


def _prose(text: str) -> str:
    """Return reStructuredText's few marks as Markdown's, on one line."""
    plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return " ".join(plain.split())


def _cell(text: str) -> str:
    """Return Markdown for a cell of a table."""
    return text.replace("|", "\\|")


def _html(text: str) -> str:
    """Return plain text for a cell of a table."""
    return html.escape(text).replace("|", "&#124;")
