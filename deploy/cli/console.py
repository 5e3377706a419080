"""Print results as JSON or tables on stdout, progress and errors on stderr."""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer

from deploy.cli.layout import (
    column_widths,
    folded,
    padding_and_room,
    shortened,
    terminal_width,
    wrapped,
)
from deploy.progress import Advance

_LINE_EVERY_S = 10.0
_NARROWEST = 40  # columns in which a table can be read
_OF_BAR = 48  # columns of a terminal that a bar, its count and its times take
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
    padding, room = padding_and_room(texts, console.width)
    widths = column_widths(texts, room)
    table = Table(title=title, title_justify="left", header_style="bold", padding=(0, padding))
    for position, (name, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = position > 0 and all(_is_numeric(row[position]) for row in rows)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(
            *(
                text if width is None else folded(text, width)
                for text, width in zip(row, widths, strict=True)
            )
        )
    console.print(table)


def say(line: object) -> None:
    """Print a line of prose on stdout, wrapped at words where that is a terminal."""
    typer.echo(wrapped(str(line), terminal_width(sys.stdout)))


def table_width() -> int | None:
    """Return how many columns a table may take; ``None``: as many as the terminal has.

    A pipe or a log has no width of its own but what ``COLUMNS`` says; 80 columns would fold file
    names there.
    """
    if sys.stdout.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) >= _NARROWEST else 140


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
    line = f"esrdeploy: {' '.join(message.split())}"
    typer.echo(wrapped(line, terminal_width(sys.stderr)), err=True)


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
            task = bars.add_task(shortened(title, self._console.width - _OF_BAR), total=steps)
            yield lambda: bars.advance(task)

    def note(self, line: str) -> None:
        """Print one line on stderr."""
        text = wrapped(line, terminal_width(sys.stderr))
        self._console.print(text, markup=False, soft_wrap=True)  # wrapped already


def make_progress() -> BarProgress | PlainProgress:
    """Return bars where stderr is a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
