"""Run one step of a toolchain: a process with a log, a time limit and no way to outlive us.

Its whole process group is ended with it. What it leaves in the temporary folder goes too.
"""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from calib.errors import ToolchainError
from calib.files import temporary_folder
from deploy.simulate.meter import Meter
from deploy.simulate.usage import Usage

_POLL_S = 0.1
_SHOWN_LINES, _SHOWN_CHARACTERS = 3, 400
_KEPT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Step:
    """A process to run.

    Attributes:
        title: for people, such as ``openvino float: run``.
        command: its words.
        folder: to run in; made where it is not there.
        log: what it says goes there, in the place of an earlier one.
        limit_s: how long it may take.
        ready: file that it writes when all is built and drawing begins; ``None``: it draws nothing.
    """

    title: str
    command: Sequence[str | Path]
    folder: Path
    log: Path
    limit_s: float
    ready: Path | None = None


def run_step(
    step: Step,
    watch: Callable[[], None] = lambda: None,
    keep: Callable[[Usage], None] = lambda _: None,
) -> None:
    """Run a step to its end.

    Args:
        step: what to run.
        watch: called several times a second meanwhile, and once afterwards.
        keep: told what it took, also where it failed.

    Raises:
        ToolchainError: it cannot be started, failed, or took longer than it may.
        OSError: its folder or its log cannot be written.
    """
    step.folder.mkdir(parents=True, exist_ok=True)
    step.log.parent.mkdir(parents=True, exist_ok=True)
    if step.ready is not None:
        step.ready.unlink(missing_ok=True)
    started = time.monotonic()
    with temporary_folder("toolchain") as temporary, step.log.open("wb") as log:
        process = _start(step, temporary, log)
        meter = Meter(process.pid, step.ready, started)
        ended = None
        try:
            ended = _wait(meter, started + step.limit_s, watch)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, used = ended or os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            keep(meter.usage(used))
    watch()
    if ended is None:
        raise ToolchainError(
            f"{step.title} was not done after {step.limit_s / 60:g} minutes and was ended; "
            f"--time-limit gives it longer; {said(step.log)}"
        )
    if process.returncode != 0:
        raise ToolchainError(
            f"{step.title} failed, {_spelled(process.returncode)}; {said(step.log)}"
        )


def _start(step: Step, temporary: Path, log: BinaryIO) -> "subprocess.Popen[bytes]":
    own = Path(step.command[0]).parent
    surroundings = {key: value for key, value in os.environ.items() if key not in _KEPT_OUT}
    surroundings |= {"PATH": f"{own}{os.pathsep}{surroundings.get('PATH', '')}"}
    surroundings |= {"PYTHONNOUSERSITE": "1", "TMPDIR": str(temporary)}
    try:
        return subprocess.Popen(  # noqa: S603  # the toolchain of the user's choice
            [*map(str, step.command)],
            cwd=step.folder,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolchainError(f"{step.title} cannot be started: {error}") from error


def _wait(
    meter: Meter, until: float, watch: Callable[[], None]
) -> "tuple[int, int, resource.struct_rusage] | None":
    """Return what ``wait4`` says of a process when it ends; ``None``: it did not end in time."""
    while time.monotonic() < until:
        ended = os.wait4(meter.session, os.WNOHANG)
        if ended[0]:
            return ended
        meter.look()
        watch()
        time.sleep(_POLL_S)
    return None


def _spelled(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def said(log: Path) -> str:
    """Return the last lines of a log, in one."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    last = " | ".join([line for line in lines if line][-_SHOWN_LINES:])
    if len(last) > _SHOWN_CHARACTERS:
        last = f"...{last[-_SHOWN_CHARACTERS:]}"
    return f"it said: {last}; its log is {log}" if last else f"it said nothing; its log is {log}"
