"""What a release is made of agrees: one version everywhere, and a changelog that speaks of it."""

import re
from pathlib import Path

from deploy import __version__

ROOT = Path(__file__).parents[1]


def test_the_version_is_one() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [__version__]


def test_the_changelog_begins_with_what_is_to_come_or_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## (.+)$", text, re.MULTILINE)
    assert first is not None
    assert first[1] == "Unreleased" or first[1].startswith(__version__)
