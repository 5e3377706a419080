"""Measure the processes of a session while they run: memory of all together, processor time.

Linux's ``/proc`` tells both of a process that runs. What the system says of one that has ended is
its largest memory alone, and that begins with the memory of the process that started it.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.simulate.usage import Usage

_MEMORY_EVERY_S = 0.5
_KIBIBYTE = 1024
_PROCESSES = Path("/proc")
_SESSION, _FIRST_TIME, _LAST_TIME = 3, 11, 15  # of /proc/PID/stat, behind the name


@dataclass(eq=False)
class Meter:
    """What the processes of a session take, looked at while they run.

    Attributes:
        session: number of the session.
        ready: file that shows that all is built, not there yet; ``None``: nothing is drawn.
        started: when the session began, on the monotonic clock.
        peak_bytes: largest memory seen so far.
        building_s: seconds until the file was there; ``None`` before.
        building_cpu_s: seconds of all cores until then; ``None`` where none can be read.
    """

    session: int
    ready: Path | None
    started: float
    peak_bytes: int = 0
    building_s: float | None = None
    building_cpu_s: float | None = None
    _looked: float = 0.0

    @property
    def _is_ready(self) -> bool:
        return self.ready is not None and self.ready.is_file()

    def look(self) -> None:
        """Take in what runs now; cheap enough for ten times a second."""
        now = time.monotonic()
        if self.building_s is None and self._is_ready:
            self.building_s = now - self.started
            times = [_cpu_s(one) for one in _processes(self.session)]
            self.building_cpu_s = sum(times) if times else None
        if now - self._looked >= _MEMORY_EVERY_S:
            self._looked = now
            found = [*_processes(self.session)]
            together = sum(_bytes(one / "smaps_rollup", "Pss") for one in found)
            alone = (_bytes(one / "status", "VmHWM") for one in found)
            self.peak_bytes = max(self.peak_bytes, together, *alone)

    def usage(self, ended: resource.struct_rusage) -> Usage:
        """Return what all of it took, once it has ended.

        Args:
            ended: what the system says of the first process and those it waited for.
        """
        wall_s, cpu_s = time.monotonic() - self.started, ended.ru_utime + ended.ru_stime
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        largest = ended.ru_maxrss if ended.ru_maxrss > ours else 0  # else perhaps our own
        peak_bytes = max(self.peak_bytes, largest * _KIBIBYTE)
        if self.building_s is None and self._is_ready:  # there since the last look
            return Usage(wall_s, cpu_s, 0.0, cpu_s, peak_bytes)
        if self.building_s is None:
            return Usage(wall_s, cpu_s, None, cpu_s, peak_bytes)
        return Usage(
            self.building_s, self.building_cpu_s, wall_s - self.building_s, cpu_s, peak_bytes
        )


def _processes(session: int) -> Iterator[Path]:
    """Yield the folder of each process of a session; none where the system has no such folders."""
    for folder in _PROCESSES.glob("[0-9]*"):
        fields = _fields(folder)
        if len(fields) > _LAST_TIME and int(fields[_SESSION]) == session:
            yield folder


def _fields(folder: Path) -> list[str]:
    """Return what ``stat`` says behind the name; nothing of a process that has ended."""
    with suppress(OSError):
        return (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return []


def _cpu_s(folder: Path) -> float:
    """Return seconds of all cores that a process and those it waited for have had."""
    ticks = sum(map(int, _fields(folder)[_FIRST_TIME:_LAST_TIME]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _bytes(path: Path, name: str) -> int:
    """Return what a file of a process says of its memory, 0 if that has ended.

    Of ``smaps_rollup`` that is ``Pss``, resident memory with a part of what is shared, and of
    ``status`` ``VmHWM``, the largest resident memory so far.
    """
    with suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * _KIBIBYTE
    return 0
