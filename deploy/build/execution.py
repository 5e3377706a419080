"""State how and where the pictures of a build are run: calibrated on, and learned from."""

import re
from dataclasses import dataclass
from typing import Literal

from calib.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]

_ADDRESS = re.compile(r"(?:[a-z]+://)?\S+:\d{1,5}/?")


@dataclass(frozen=True)
class Execution:
    """How and where pictures are run; it never shows in the table.

    Attributes:
        workers: processes of this machine to deal them to; ``None``: this process alone.
        scheduler: address of a Dask scheduler whose workers get them instead.
        resume: use what an interrupted run of the same job left in the folder.
        device: where --effort high learns; ``auto``: on a GPU where there is one.
    """

    workers: int | None = None
    scheduler: str | None = None
    resume: bool = True
    device: Device = "auto"

    def require_possible(self) -> None:
        """Refuse an address that no scheduler has, before anything heavy is loaded.

        Raises:
            UsageError: it names no host and port.
        """
        if self.scheduler is not None and not _ADDRESS.fullmatch(self.scheduler):
            raise UsageError(f"found --scheduler {self.scheduler!r}; expected tcp://HOST:PORT")
