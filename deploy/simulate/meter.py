"""Measure the processes of a session while they run: memory of all together, processor time.

Linux's ``/proc`` tells both of a process that runs. Of one that has ended the system tells whoever
waited for it, and largest memory alone, which begins with that of the process that started it. A
browser's processes are ended with it and waited for by nobody.
"""

import os
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.simulate.usage import Usage

_LOOK_EVERY_S = 0.5
_MOST_OF_THE_TIME = 0.03  # that looking may take: of gigabytes it takes tens of milliseconds
_KIBIBYTE = 1024
_PROCESSES = Path("/proc")
_SESSION, _TIMES, _WAITED_TIMES, _START = 3, slice(11, 13), slice(13, 15), 19
"""Places in ``/proc/PID/stat``, behind the name."""


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
    _next_look: float = 0.0
    _seen_s: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def _is_ready(self) -> bool:
        return self.ready is not None and self.ready.is_file()

    def look(self) -> None:
        """Take in what runs now; cheap enough for ten times a second."""
        now = time.monotonic()
        if self.building_s is None and self._is_ready:
            self.building_s = now - self.started
            found = _processes(self.session)
            self._take_times(found)
            self.building_cpu_s = max(self._cpu_s, _with_waited_s(found)) if found else None
        if now >= self._next_look:
            found = _processes(self.session)
            self._take_times(found)
            together = sum(_bytes(one / "smaps_rollup", "Pss") for one in found)
            alone = (_bytes(one / "status", "VmHWM") for one in found)
            self.peak_bytes = max(self.peak_bytes, together, *alone)
            taken_s = time.monotonic() - now
            self._next_look = now + max(_LOOK_EVERY_S, taken_s / _MOST_OF_THE_TIME)

    def _take_times(self, found: Mapping[Path, list[str]]) -> None:
        """Keep the last processor time that is seen of each process."""
        for folder, fields in found.items():
            self._seen_s[folder.name, fields[_START]] = _seconds(fields[_TIMES])

    @property
    def _cpu_s(self) -> float:
        """Seconds of all cores of all processes that were seen."""
        return sum(self._seen_s.values())

    def usage(self, ended: resource.struct_rusage) -> Usage:
        """Return what all of it took, once it has ended.

        Args:
            ended: what the system says of the first process and those it waited for.
        """
        wall_s = time.monotonic() - self.started
        cpu_s = max(self._cpu_s, ended.ru_utime + ended.ru_stime, self.building_cpu_s or 0.0)
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


def _processes(session: int) -> dict[Path, list[str]]:
    """Return the folder of each process of a session, with what ``stat`` says behind the name.

    There are none where the system has no such folders.
    """
    found = {}
    for folder in _PROCESSES.glob("[0-9]*"):
        fields: list[str] = []
        with suppress(OSError):  # it has ended
            fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        if len(fields) > _START and int(fields[_SESSION]) == session:
            found[folder] = fields
    return found


def _with_waited_s(found: Mapping[Path, list[str]]) -> float:
    """Return seconds of all cores of processes, and of those that they waited for."""
    return sum(_seconds(fields[_TIMES] + fields[_WAITED_TIMES]) for fields in found.values())


def _seconds(ticks: Sequence[str]) -> float:
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


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
