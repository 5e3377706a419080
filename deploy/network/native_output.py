"""Keep what libraries print by themselves from the streams that a command answers on.

Native code writes to file descriptors: torch prints a graph that it cannot export to stdout, whole,
where a JSON document is to stand alone, and onnxsim tells of each node that it does not compute.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STREAMS = (1, 2)


@contextmanager
def native_output_dropped() -> Iterator[None]:
    """Drop what is written to stdout and stderr within, by Python or beside it."""
    _flush()
    kept = [os.dup(stream) for stream in _STREAMS]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in _STREAMS:
            os.dup2(nowhere, stream)
        yield
    finally:
        _flush()
        for stream, own in zip(_STREAMS, kept, strict=True):
            os.dup2(own, stream)
        for descriptor in (*kept, nowhere):
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
