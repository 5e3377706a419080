"""Print results as JSON or tables on stdout, progress and errors on stderr."""

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer

from deploy.progress import Advance

_LINE_EVERY_S = 10.0
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def print_json(schema: str, content: Mapping[str, object]) -> None:
    """Print the one JSON document on stdout.

    Args:
        schema: name and version of its form, ``esrdeploy.cli.NAME/VERSION``, or that of the file
            that holds the same; the version rises when a key goes or changes its meaning.
        content: what it says besides.
    """
    from calib.digest import canonical_json

    document = {**content, "schema": schema}
    sys.stdout.write(canonical_json(document).decode("ascii"))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout; columns after the first whose cells are numbers align right."""
    from rich.console import Console
    from rich.table import Table

    # What is in brackets is text, such as a shape.
    console = Console(width=table_width(), highlight=False, markup=False)
    texts = [[name, *(row[at] for row in rows)] for at, name in enumerate(columns)]
    widths = column_widths(texts, console.width - 3 * len(columns) - 1)
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, (name, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = position > 0 and all(_is_numeric(row[position]) for row in rows)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def table_width() -> int | None:
    """Return how many columns a table may take; ``None``: as many as the terminal has.

    A pipe or a log has no width of its own; 80 columns would fold file names there.
    """
    return None if sys.stdout.isatty() else 140


def column_widths(texts: Sequence[Sequence[str]], room: int) -> list[int | None]:
    """Return how wide columns are to be so that no word is broken, or as few as can be.

    The first column, of names, is not wrapped if it takes a third at most; every other gets its
    longest word, and what is left goes where most is wrapped. Where the words alone do not fit, the
    widest columns give way.

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
    if sum(whole) <= room:
        return [None] * len(texts)
    if 3 * whole[0] <= room:
        words[0] = whole[0]
    widths = words
    for _ in range(sum(words) - max(room, len(texts))):
        widths[widths.index(max(widths))] -= 1
    for _ in range(room - sum(words)):
        most = max(range(len(texts)), key=lambda at: whole[at] / widths[at])
        widths[most] += 1
    return [*widths]


def _is_numeric(cell: str) -> bool:
    return cell in {"", "-"} or re.fullmatch(r"[+-]?[\d.,]+%?", cell) is not None


def short_digests(text: str) -> str:
    """Return a text with every sha256 cut to its first 12 digits: enough to tell two apart.

    >>> short_digests("found " + 8 * "0123abcd")
    'found 0123abcd0123...'
    """
    return _DIGEST.sub(r"\1...", text)


def error_line(message: str) -> None:
    """Print one error line on stderr."""
    typer.echo(f"esrdeploy: {' '.join(message.split())}", err=True)


class PlainProgress:
    """Stages as lines on stderr, one at most every ten seconds: for logs and pipes."""

    @contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Advance]:
        """Print the stage's start, its advance now and then, and its end."""
        started = last = time.monotonic()
        done = 0
        self.note(f"{title} ...")

        def advance() -> None:
            nonlocal done, last
            done += 1
            now = time.monotonic()
            if now - last >= _LINE_EVERY_S and done < steps:
                left_s = (now - started) / done * (steps - done)
                self.note(f"{title}: {done}/{steps}, about {left_s:.0f} s left")
                last = now

        yield advance
        self.note(f"{title}: done in {time.monotonic() - started:.1f} s")

    def note(self, line: str) -> None:
        """Print one line on stderr."""
        typer.echo(line, err=True)


class BarProgress:
    """Stages as bars with an estimate on stderr: for a person at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Advance]:
        """Show a bar that stays when the stage is over."""
        from rich import progress

        columns: tuple[Any, ...] = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=self._console) as bars:
            task = bars.add_task(title, total=steps)
            yield lambda: bars.advance(task)

    def note(self, line: str) -> None:
        """Print one line on stderr."""
        self._console.print(line, markup=False)


def make_progress() -> BarProgress | PlainProgress:
    """Return bars where stderr is a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
