"""The guide to the report names its sections as the page does, in the order of the page."""

import re
from pathlib import Path

from deploy import report
from deploy.artifacts.files import REPORT_NAME

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/reading-a-report.md").read_text("utf-8")
TEMPLATE = (Path(report.__file__).parent / "template/page.html").read_text("utf-8")
BANNERS = {"Verified", "Not verified"}


def rows() -> list[str]:
    """Return the sections that the guide lists; the first is headed by the verdict."""
    table = GUIDE[GUIDE.index("| section |") :].partition("\n\n")[0]
    return [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]]


def sections(page: str) -> list[str]:
    """Return the names of a page's sections: the heading of each, or the label of one without."""
    found = []
    for label, inside in re.findall(
        r"<section (?:[^>]*?aria-label=\"([^\"]*)\")?[^>]*>(.*?)</section>", page, re.DOTALL
    ):
        headings = re.findall(r"<h2[^>]*>([^<{]*)", inside)
        assert len(headings) == (0 if label else 1), (label, headings)
        found.append(label or headings[0].partition(",")[0].partition(":")[0])
    return found


def test_the_guide_lists_every_section_that_a_report_can_have() -> None:
    verdict, *others = rows()
    headed, *named = sections(TEMPLATE)
    assert headed == ""  # by the verdict
    assert {*verdict.split(" or ")} == BANNERS
    assert others == named
    assert len(others) > 6


def test_a_report_has_no_section_that_the_guide_does_not_list(built: Path) -> None:
    page = (built / REPORT_NAME).read_text("utf-8")
    verdict, *found = sections(page)
    assert verdict in BANNERS
    assert len(found) > 5
    assert [name for name in rows() if name in found] == found
