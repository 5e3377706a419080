"""What is printed in a terminal is broken at words, and names where their parts end."""

import fcntl
import io
import os
import pty
import re
import select
import struct
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli import console
from deploy.cli.layout import column_widths, folded, parts, shortened, terminal_width, wrapped

WORDS = st.text("ab9-_/.", min_size=1, max_size=30)
TEXTS = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)


@given(TEXTS, st.integers(1, 120))
def test_wrapping_breaks_no_word_and_loses_none(text: str, width: int) -> None:
    lines = wrapped(text, width).splitlines()
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    assert wrapped(text, None) == text


@given(WORDS, st.integers(1, 40))
def test_a_name_is_broken_between_its_parts_and_no_more_than_it_must(word: str, width: int) -> None:
    lines = folded(word, width).splitlines()
    assert "".join(lines) == word == "".join(parts(word))
    longest = max(map(len, parts(word)))
    assert max(map(len, lines)) <= max(width, longest)
    assert len(lines) == 1 or len(word) > width


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=4), min_size=1, max_size=5))
def test_columns_keep_their_room_and_the_parts_of_words_where_they_can(table: list) -> None:
    room = 60
    widths = column_widths(table, room)
    if widths == [None] * len(table):
        return
    assert sum(widths) <= room
    least = [
        max(len(part) for text in column for word in text.split() for part in parts(word))
        for column in table
    ]
    if sum(least) <= room:
        assert all(width >= part for width, part in zip(widths, least, strict=True))


@given(st.text(max_size=60), st.integers(1, 50))
def test_a_title_leaves_room_for_its_bar(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width
    assert len(text) > width or shortened(text, width) == text


def all_of(terminal: int) -> bytes:
    """Return what was written to a terminal: one read gives 4 KiB of it at most."""
    got = b""
    while select.select([terminal], [], [], 0.0)[0]:
        got += os.read(terminal, 4096)
    return got


def test_a_terminal_gets_lines_that_fit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    monkeypatch.delenv("COLUMNS", raising=False)
    path = f"/{'long/' * 12}file"
    with os.fdopen(theirs, "w") as stream:
        assert terminal_width(stream) == 40
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setattr("sys.stderr", stream)
        console.say(f"said of {path}: that it is a file of a name that takes two lines")
        console.error_line(f"refused is {path}: that it is a file of a name that takes two lines")
        progress = console.make_progress()
        progress.note(f"noted is {path}: that it is a file of a name that takes two lines")
        monkeypatch.setenv("COLUMNS", "70")
        assert terminal_width(stream) == 70
        with console.make_progress().stage("running " + "a-file.onnx, " * 9, 3) as advance:
            advance()
        got = all_of(ours).decode()
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", got).replace("\r", "\n")
    lines = [line.rstrip() for line in plain.splitlines() if line.strip()]
    assert plain.count(path) == 3
    said = [line for line in lines if "running" not in line]
    assert len(said) >= 6
    assert all(len(line) <= 40 for line in said if path not in line)
    bars = [line for line in lines if "running" in line]
    assert bars
    assert all(re.search(r"… .* [01]/3 0:0\d:\d\d \S+$", bar) for bar in bars), bars
    assert terminal_width(io.StringIO()) is None


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("0", 140), ("x", 140), (None, 140)])
def test_a_pipe_is_as_wide_as_it_is_told(
    columns: str | None, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert console.table_width() == width
