"""Every promise of docs/promises.md names a test or a command that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    row.strip("|").rsplit("|", 1)
    for row in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines()
    if row.startswith("|") and not row.startswith(("| promise |", "|---"))
]


@pytest.mark.parametrize(("promise", "held_by"), ROWS, ids=[row[0].strip()[:50] for row in ROWS])
def test_a_promise_is_held(promise: str, held_by: str) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", held_by)
    commands = re.findall(r"`python (tools/\w+\.py)\b[^`]*`|`(make \w+)`", held_by)
    assert tests or commands, promise
    for file, name in tests:
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for script, target in commands:
        assert (ROOT / script).is_file() if script else target.split()[1] in targets
