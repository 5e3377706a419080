"""The published JSON Schemas are those of the records, and the tool's own files follow them."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from calib.json_schemas import json_schema
from deploy.artifacts.files import MANIFEST_NAME, PARITY_NAME, TABLE_NAME
from deploy.handoff.bundle_zip import opened
from tools.write_schemas import FOLDER, RECORDS, schema_text


def published(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def parts(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every record that a schema describes, by name."""
    return {schema["title"]: schema, **schema.get("$defs", {})}


@pytest.mark.parametrize("name", RECORDS)
def test_it_is_published_as_the_record_says(name: str) -> None:
    path = FOLDER / f"{name}.schema.json"
    text = path.read_text(encoding="utf-8")
    assert text == schema_text(name), "run: python tools/write_schemas.py"


def test_nothing_else_is_published() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.schema.json" for name in RECORDS}


@pytest.mark.parametrize("name", RECORDS)
def test_every_key_is_described_and_required(name: str) -> None:
    schema = json_schema(RECORDS[name])
    Draft202012Validator.check_schema(schema)
    for title, part in parts(schema).items():
        assert part["required"] == sorted(part["properties"]), title
        for key, value in part["properties"].items():
            assert value["description"], f"{title}.{key} is not described"


@pytest.fixture(scope="module")
def documents(small_build: Path, vacc_only: Path) -> dict[str, Any]:
    """What a build and its bundle hold, by the name of the schema."""
    (plan,) = small_build.glob("*.plan.json")
    files = {
        "manifest": MANIFEST_NAME,
        "parity": PARITY_NAME,
        "calibration": TABLE_NAME,
        "plan": plan.name,
    }
    found = {name: json.loads((small_build / file).read_bytes()) for name, file in files.items()}
    with opened(vacc_only) as root:
        found["bundle"] = json.loads((root / MANIFEST_NAME).read_bytes())
    return found


@pytest.mark.parametrize("name", ["manifest", "parity", "calibration", "plan", "bundle"])
def test_the_tool_s_own_files_follow_it_and_files_at_fault_do_not(
    name: str, documents: dict[str, Any]
) -> None:
    validator = Draft202012Validator(published(name))
    document = documents[name]
    assert not list(validator.iter_errors(document))
    for key in document:
        without = {other: value for other, value in document.items() if other != key}
        assert not validator.is_valid(without), key
        assert not validator.is_valid({**document, key: {"unlike": [None]}}), key
    assert not validator.is_valid({**document, "another key": 1})
