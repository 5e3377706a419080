"""Decision records are numbered one by one, and each says its own number."""

import re
from pathlib import Path

RECORDS = sorted((Path(__file__).parents[1] / "docs" / "decisions").glob("*.md"))


def test_records_are_numbered_one_by_one() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == [*range(1, len(RECORDS) + 1)]


def test_each_says_its_own_number() -> None:
    for path in RECORDS:
        found = re.match(r"# (\d+)\. \S", path.read_text(encoding="utf-8"))
        assert found is not None, path.name
        assert int(found[1]) == int(path.name[:4]), path.name
