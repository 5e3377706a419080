"""Run a command and measure its process: wall time, processor time, peak memory.

On Linux a process's peak memory begins with that of the process that started it, so the command
is started by a fresh interpreter that runs this file and holds nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        seconds: wall time.
        cpu_seconds: processor time of all its threads, and of the children it waited for.
        peak_mb: peak resident memory, 10^6 bytes.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run_measured(
    command: Sequence[str | Path],
    log: Path,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command, its output and errors to ``log``.

    Args:
        command: program and arguments.
        log: file for what it prints.
        folder: where it runs.
        environment: its environment variables; the own ones by default.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    words = list(map(str, command))
    with tempfile.TemporaryDirectory() as scratch, log.open("wb") as output:
        record = Path(scratch) / "cost.json"
        starter = [sys.executable, "-I", __file__, str(record), *words]
        subprocess.run(
            starter, check=True, stdout=output, stderr=output, cwd=folder, env=environment
        )
        return Cost(**json.loads(record.read_text()))


def _main(record: str, *command: str) -> int:
    started = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    cost = Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
    Path(record).write_text(json.dumps(asdict(cost)))
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
