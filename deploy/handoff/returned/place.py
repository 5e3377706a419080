"""Hold a place for the verdict on a return, so that no other verdict is lost.

A verdict is written where the user asks for it, else to the current folder under the name of its
return. It takes the place of an earlier one on the same return: of the same network and vendor, and
a folder of the same name. Whatever else is there is refused, and so is a place among what was
returned, which stays as it came: from within it the verdict goes beside it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os.path import realpath
from pathlib import Path
from typing import Any

from calib.errors import UsageError
from calib.files import read_whole

_SCHEMA_KIND = "esrdeploy.returned/"
_SAME = ("model", "vendor", "folder")
_PART_BYTES = 60  # of each of them in a file's name, which may have 255


@dataclass(frozen=True)
class Place:
    """Where a verdict goes.

    Attributes:
        page: the report, ``.html``.
        earlier: the record of the verdict that is there; ``None`` where nothing is.
        beside: whether it is beside what was returned, because the current folder is among that.
    """

    page: Path
    earlier: Mapping[str, Any] | None = None
    beside: bool = False

    @property
    def record(self) -> Path:
        """The verdict as JSON, beside the page."""
        return self.page.with_suffix(".json")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said of the place, and of the earlier verdict there."""
        aside = "the verdict goes beside the folder that was returned: the current one is in it"
        replaced = f"replaces the earlier verdict in {self.page}"
        return (*[aside] * self.beside, *[replaced] * (self.earlier is not None))

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
                f"{found['vendor']} in a folder {found['folder']}; name another place with --report"
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
    if _is_among(page, returned):
        raise UsageError(
            f"found --report {page}, in the folder that was returned, which stays as it came; "
            "choose another place"
        )
    return _place(page)


def place_here(model: str, vendor: str, returned: Path) -> Place:
    """Return ``MODEL-VENDOR-FOLDER-verdict.html`` in the current folder.

    Where that is among what was returned, the place is beside the folder that was returned.

    Args:
        model: name of the network.
        vendor: whose outputs they are.
        returned: the folder of outputs.

    Raises:
        UsageError: what is there is no verdict on a return, or there is no such place.
    """
    try:
        folder = Path(realpath(returned))
        parts = (_in_file_names(part) for part in (model, vendor, folder.name))
        page = Path(f"{'-'.join(parts)}-verdict.html")
        beside = _is_among(page, returned)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"the current folder cannot be used: {reason}") from error
    if beside:
        page = folder.parent / page
    if _is_among(page, returned):
        raise UsageError(f"every folder is in {folder}, which was returned and stays as it came")
    return _place(page, beside=beside)


def _is_among(page: Path, returned: Path) -> bool:
    """Say whether a page would lie in the folder of outputs."""
    return Path(realpath(page)).is_relative_to(realpath(returned))  # resolve() raises at loops


def _in_file_names(text: str) -> str:
    """Return a name as it stands in that of a file: letters, digits, dots, lines, and not long.

    >>> _in_file_names("from vendor/1")
    'from_vendor_1'
    """
    safe = re.sub(r"[^\w.-]", "_", text).encode("utf-8")
    return safe[:_PART_BYTES].decode("utf-8", "ignore")


def _place(page: Path, *, beside: bool = False) -> Place:
    """Return a place, with the verdict that is there.

    Raises:
        UsageError: what is there is no verdict on a return.
    """
    place = Place(page, beside=beside)
    there = [path for path in (page, place.record) if path.exists()]
    if not there:
        return place
    earlier = _verdict(place.record)
    if earlier is None:
        raise UsageError(
            f"{there[0]} is there already and is no verdict on a return; name another place with "
            "--report"
        )
    return replace(place, earlier=earlier)


def _verdict(path: Path) -> dict[str, Any] | None:
    """Return the record of a verdict on a return, ``None`` where a file is none."""
    try:
        found = json.loads(read_whole(path))
        known = str(found["schema"]).startswith(_SCHEMA_KIND)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if known else None
