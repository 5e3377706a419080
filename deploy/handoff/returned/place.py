"""Hold a place for the verdict on a return, so that no other verdict is lost.

A verdict is written where the user asks for it, and nowhere else. It takes the place of an earlier
one on the same return: of the same network and vendor, and a folder of the same name. Whatever else
is there is refused, and so is a place among what was returned, which stays as it came.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Any

from calib.errors import UsageError
from calib.files import read_whole

_SCHEMA_KIND = "esrdeploy.returned/"
_SAME = ("model", "vendor", "folder")


@dataclass(frozen=True)
class Place:
    """Where a verdict goes.

    Attributes:
        page: the report, ``.html``.
        earlier: the record of the verdict that is there; ``None`` where nothing is.
    """

    page: Path
    earlier: Mapping[str, Any] | None = None

    @property
    def record(self) -> Path:
        """The verdict as JSON, beside the page."""
        return self.page.with_suffix(".json")

    @property
    def note(self) -> str:
        """What is said of the earlier verdict; empty where there was none."""
        return "" if self.earlier is None else f"replaces the earlier verdict in {self.page}"

    def require_same(self, record: Mapping[str, Any]) -> None:
        """Refuse to replace the verdict on another return.

        Args:
            record: of the verdict that is to be written.

        Raises:
            UsageError: the one that is there is on another.
        """
        if self.earlier is None:
            return
        found, own = ({key: one.get(key) for key in _SAME} for one in (self.earlier, record))
        if found != own:
            raise UsageError(
                f"{self.page} is the verdict on another return, {found['model']} on "
                f"{found['vendor']} in a folder {found['folder']}; choose another --report"
            )


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
    earlier = _verdict(place.record)
    if earlier is None:
        raise UsageError(
            f"{there[0]} is there already and is no verdict on a return; choose another --report"
        )
    return Place(page, earlier)


def _verdict(path: Path) -> dict[str, Any] | None:
    """Return the record of a verdict on a return, ``None`` where a file is none."""
    try:
        found = json.loads(read_whole(path))
        known = str(found["schema"]).startswith(_SCHEMA_KIND)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if known else None
