"""Lay text out in so many columns: words stay whole, and long names break where a reader expects.

A name is broken behind a line, a slash or an underscore and before a dot, and nowhere else as long
as there is room for its parts.
"""

import os
import re
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

_WIDEST = 100  # columns of prose
_SEAM = re.compile(r"(?<=\w[-/_])(?=\w)|(?<=\w)(?=\.[A-Za-z])")


def terminal_width(stream: IO[str]) -> int | None:
    """Return how many columns the terminal behind a stream has, ``None`` where it is none."""
    if not stream.isatty():
        return None
    with suppress(KeyError, ValueError):
        return max(1, int(os.environ["COLUMNS"]))
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or None
    return None


def wrapped(line: str, width: int | None) -> str:
    """Return a line of prose as lines of a terminal, those after the first set in by two columns.

    No word is broken: what is copied from the screen, such as a path, is whole.

    Args:
        line: what is said.
        width: of the terminal; ``None``, a pipe or a file, leaves the line as it is.

    >>> print(wrapped("FAIL  tiny-fp32.onnx  digest: the file was changed", 40))
    FAIL  tiny-fp32.onnx  digest: the file
      was changed
    """
    if width is None:
        return line
    indent = line[: len(line) - len(line.lstrip())] + "  "
    lines = textwrap.wrap(
        line,
        min(width, _WIDEST),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def shortened(text: str, width: int) -> str:
    """Return a text that takes ``width`` columns at most, its end left out where it is longer.

    >>> shortened("running a-int8.onnx", 9)
    'running…'
    """
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def parts(word: str) -> list[str]:
    """Return the parts of a word between which it may be broken.

    >>> parts("mynet-int8-qnn.onnx"), parts("/body/body.0/Conv"), parts("-12.75")
    (['mynet-', 'int8-', 'qnn', '.onnx'], ['/body/', 'body.0/', 'Conv'], ['-12.75'])
    """
    return _SEAM.split(word)


def folded(text: str, width: int) -> str:
    """Return the text of a cell with the words that are longer than its column broken.

    >>> folded("file mynet-int8-qnn.onnx", 12).splitlines()
    ['file mynet-int8-', 'qnn.onnx']
    """
    return re.sub(r"\S+", lambda found: _broken(found[0], width), text)


def _broken(word: str, width: int) -> str:
    if len(word) <= width:
        return word
    lines = [""]
    for part in parts(word):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def column_widths(texts: Sequence[Sequence[str]], room: int) -> list[int | None]:
    """Return how wide columns are to be so that no word is broken, or as few as can be.

    The first column, of names, is not wrapped if it takes a third at most; every other gets its
    longest word, and what is left goes where most is wrapped. Where the words alone do not fit, the
    widest columns give way, first those whose words can be broken between their parts.

    Args:
        texts: the header and the cells of each column.
        room: for all columns together.

    Returns:
        ``None`` for each, which leaves them to the library, where all text fits as it is.

    >>> column_widths([["tensor", "/conv_first"], ["why", "kept in float for its size"]], 30)
    [11, 19]
    >>> column_widths([["file", "a-name-as-long-as-this.onnx"], ["median ms", "12"]], 26)
    [20, 6]
    """
    from rich.cells import cell_len

    whole = [max(map(cell_len, column)) for column in texts]
    words = [
        max((cell_len(word) for text in column for word in text.split()), default=1)
        for column in texts
    ]
    least = least_widths(texts)
    if sum(whole) <= room:
        return [None] * len(texts)
    if 3 * whole[0] <= room:
        words[0] = whole[0]
    widths = words
    for _ in range(sum(words) - max(room, len(texts))):
        breakable = [at for at, width in enumerate(widths) if width > least[at]]
        widths[max(breakable or range(len(widths)), key=widths.__getitem__)] -= 1
    for _ in range(room - sum(words)):
        most = max(range(len(texts)), key=lambda at: whole[at] / widths[at])
        widths[most] += 1
    return [*widths]


def least_widths(texts: Sequence[Sequence[str]]) -> list[int]:
    """Return how wide columns must be so that no part of a word is broken.

    Args:
        texts: the header and the cells of each column.
    """
    from rich.cells import cell_len

    return [
        max((cell_len(part) for text in column for part in _parts_of_text(text)), default=1)
        for column in texts
    ]


def _parts_of_text(text: str) -> list[str]:
    return [part for word in text.split() for part in parts(word)]


def padding_and_room(texts: Sequence[Sequence[str]], width: int) -> tuple[int, int]:
    """Return how many spaces stand beside each line between columns, and the room for all columns.

    The spaces go where without them no part of a word is broken.

    Args:
        texts: the header and the cells of each column.
        width: of the whole table.
    """
    lines = len(texts) + 1
    room = width - lines - 2 * len(texts)
    return (1, room) if sum(least_widths(texts)) <= room else (0, width - lines)
