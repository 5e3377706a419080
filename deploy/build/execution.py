"""State how and where the images of a calibration are run."""

import re
from dataclasses import dataclass

from calib.errors import UsageError

_ADDRESS = re.compile(r"(?:[a-z]+://)?\S+:\d{1,5}/?")


@dataclass(frozen=True)
class Execution:
    """How and where calibration images are run; it never shows in the table.

    Attributes:
        workers: processes of this machine to deal them to; ``None``: this process alone.
        scheduler: address of a Dask scheduler whose workers get them instead.
        resume: use what an interrupted run of the same job left in the folder.
    """

    workers: int | None = None
    scheduler: str | None = None
    resume: bool = True

    def require_possible(self) -> None:
        """Refuse an address that no scheduler has, before anything heavy is loaded.

        Raises:
            UsageError: it names no host and port.
        """
        if self.scheduler is not None and not _ADDRESS.fullmatch(self.scheduler):
            raise UsageError(f"found --scheduler {self.scheduler!r}; expected tcp://HOST:PORT")
