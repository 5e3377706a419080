"""Choose where the verdict on a return is written, so that no other verdict is lost.

Without a place of the user's it is ``FOLDER-returned-report.html`` in the current folder, after the
folder that was returned, or beside that folder where the current one lies in it: what was returned
stays as it came. Another verdict there stays, and the new one takes the next number. A place of the
user's is taken as it is; the verdict that was there gives way, and anything else that was there is
refused, and so is a place among what was returned.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path

from calib.errors import UsageError
from calib.files import read_whole

REPORT_STEM = "returned-report"
_SCHEMA_KIND = "esrdeploy.returned/"


@dataclass(frozen=True)
class Place:
    """Where a verdict goes.

    Attributes:
        page: the report, ``.html``.
        note: what is said of an earlier verdict; empty where there was none, or the same.
    """

    page: Path
    note: str = ""

    @property
    def record(self) -> Path:
        """The verdict as JSON, beside the page."""
        return self.page.with_suffix(".json")


def asked_place(page: Path, returned: Path) -> Place:
    """Return the place that the user asks for; ``.html`` is put behind a name without it.

    Args:
        page: the report.
        returned: the folder of outputs.

    Raises:
        UsageError: what is there is no verdict on a return, or it is among what was returned.
    """
    if page.suffix == ".json":
        raise UsageError(f"found --report {page}; the page's name ends in .html")
    if not page.suffix:
        page = page.with_suffix(".html")
    if Path(realpath(page)).is_relative_to(realpath(returned)):  # resolve() raises at loops
        raise UsageError(
            f"found --report {page}, in the folder that was returned, which stays as it came; "
            "choose another place"
        )
    place = Place(page)
    there = [path for path in (page, place.record) if path.exists()]
    if not there:
        return place
    if not _is_verdict(place.record):
        raise UsageError(
            f"{there[0]} is there already and is no verdict on a return; choose another --report"
        )
    return Place(page, f"the earlier verdict in {page} gives way to this one")


def usual_place(returned: Path, record: bytes) -> Place:
    """Return the first place after the returned folder's name that holds no other verdict.

    Args:
        returned: the folder of outputs.
        record: the verdict on it; where that is there already, so is the place.
    """
    kept: list[str] = []
    for page in _usual_pages(returned):
        place = Place(page)
        if not page.exists() and not place.record.exists():
            break
        if _content(place.record) == record:
            return place
        kept.append(page.name)
    return Place(page, f"another verdict is kept in {', '.join(kept)}" if kept else "")


def is_report(path: Path) -> bool:
    """Return whether a file among the outputs is called like such a report."""
    return REPORT_STEM in path.stem and path.suffix in {".html", ".json"}


def _usual_pages(returned: Path) -> Iterator[Path]:
    came = returned.resolve()
    folder = came.parent if Path.cwd().is_relative_to(came) else Path()
    stem = "-".join(filter(None, (came.name, REPORT_STEM)))
    yield folder / f"{stem}.html"
    number = 2
    while True:
        yield folder / f"{stem}-{number}.html"
        number += 1


def _content(path: Path) -> bytes:
    """Return what a file holds; nothing where it cannot be read."""
    try:
        return read_whole(path)
    except OSError:
        return b""


def _is_verdict(path: Path) -> bool:
    try:
        schema = json.loads(_content(path))["schema"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(schema, str) and schema.startswith(_SCHEMA_KIND)
