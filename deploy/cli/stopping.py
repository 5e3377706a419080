"""Stop a command within two seconds of SIGINT or SIGTERM, wherever it is.

Python tells its main thread of a signal between two steps of its own; while that thread waits for
onnxruntime, or for other threads to end, nothing happens. So the system's handler also writes to a
pipe, on which a thread listens: what has not unwound by itself `GRACE_S` later is ended from there.
What has unwound, and said so, ends at once, as does what is done.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from calib.files import remove_temporary_folders

GRACE_S = 1.0
EXIT_CODES = {int(signal.SIGINT): 130, int(signal.SIGTERM): 143}

Say = Callable[[int], None]


@contextmanager
def stopping(say: Say) -> Iterator[None]:
    """Let SIGINT and SIGTERM end what runs within, which is what the whole process is for.

    Args:
        say: told the exit code, once, by whichever thread ends the process.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in EXIT_CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _unwind)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _END.say, _END.watched = say, True
    threading.Thread(target=_end_late, args=(reader,), daemon=True).start()
    try:
        yield
    except SystemExit as end:
        if _END.said:
            _leave(_END.code)
        with suppress(OSError, ValueError):  # Python says what became of its streams
            sys.stdout.flush()
            sys.stderr.flush()
            _leave(end.code)
        raise


def interrupted_code() -> int:
    """Return the exit code of the signal that came last."""
    return _END.code


def say_once(say: Say) -> None:
    """Say how the process ends; within :func:`stopping`, unless the other thread has."""
    with _END.lock:
        if not (_END.watched and _END.said):
            _END.said = True
            say(_END.code)


class _End:
    """How the process ends."""

    def __init__(self) -> None:
        self.code = EXIT_CODES[int(signal.SIGINT)]
        self.watched = False
        self.said = False
        self.say: Say = lambda _: None
        self.lock = threading.Lock()


_END = _End()


def _unwind(number: int, _: FrameType | None) -> None:
    _END.code = EXIT_CODES[number]
    raise KeyboardInterrupt


def _end_late(reader: int) -> None:
    """Wait for a signal, then give the main thread its time, then end the process."""
    number = 0
    while number not in EXIT_CODES:
        number = os.read(reader, 1)[0]
    time.sleep(GRACE_S)
    _END.code = EXIT_CODES[number]
    say_once(_END.say)
    _leave(_END.code)


def _leave(code: object) -> NoReturn:
    """End the process without what libraries do at its end, which takes 1.4 s and more.

    Threads that Python does not wait for are dead by then: nobody could end that any more.

    Args:
        code: exit status, as :class:`SystemExit` holds it; ``None`` is 0.
    """
    remove_temporary_folders()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read them is gone
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
