"""Run the tutorial in an empty folder, and draw what its commands print as terminals.

Each command runs as it does for a user: in a process of its own, with a terminal of 100 columns
for its output and a log for its progress.
"""

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from calib.images import write_image
from calib.sample import sample_patches

TUTORIAL = "tutorial.md"
MODEL = "animevideov3"  # that it builds
COLUMNS = 100
MOST_LINES = 100
_CALL = "import sys; from deploy.cli import main; sys.argv[0] = 'esrdeploy'; main()"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # which a page would ask elsewhere for


@dataclass(frozen=True)
class Terminal:
    """What one command printed.

    Attributes:
        command: as it stands on the page.
        path: of the picture, below the site's folder.
        svg: the picture.
    """

    command: str
    path: str
    svg: str


def run_tutorial(page: Path, folder: Path) -> list[Terminal]:
    """Run every command of the tutorial in order.

    Args:
        page: the tutorial, Markdown.
        folder: an empty one; a photograph is put into it.

    Raises:
        RuntimeError: a command failed, with what it printed.
    """
    (patch,) = sample_patches("verification", 1).patches
    write_image(folder / "photo.png", patch.load())
    commands = commands_of(page.read_text(encoding="utf-8"))
    terminals = []
    for number, command in enumerate(commands, 1):
        printed = _run(command, folder)
        terminals.append(Terminal(command, f"pictures/terminal-{number}.svg", draw(printed)))
    return terminals


def commands_of(markdown: str) -> list[str]:
    """Return the commands of a page's ``sh`` blocks."""
    return [line for block in _BLOCK.findall(markdown) for line in block.splitlines()]


def with_terminals(markdown: str, paths: Mapping[str, str]) -> str:
    """Put below each block of commands what they print.

    Args:
        markdown: the tutorial.
        paths: of each command's picture, below the site's folder.
    """

    def shown(block: re.Match[str]) -> str:
        pictures = "\n".join(
            f'<img src="{paths[command]}" alt="What {command} prints" loading="lazy">'
            for command in block[1].splitlines()
        )
        summary = "<summary>What it prints</summary>"
        return f'{block[0]}\n\n<details class="terminal">{summary}\n{pictures}\n</details>'

    return _BLOCK.sub(shown, markdown)


def draw(printed: str) -> str:
    """Return an SVG of a terminal that shows text with ANSI colours; it loads no font.

    Of more than `MOST_LINES` lines the middle is left out.
    """
    lines = printed.splitlines()
    if len(lines) > MOST_LINES:
        half, left_out = MOST_LINES // 2, len(lines) - MOST_LINES
        lines = [*lines[:half], f"... {left_out} lines ...", *lines[-half:]]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines)))
    return _FONTS.sub("", console.export_svg(title="esrdeploy"))


def _run(command: str, folder: Path) -> str:
    """Run a command; return it with what it printed, in the order in which that came."""
    reading, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    words = [sys.executable, "-c", _CALL, *shlex.split(command)[1:]]
    called = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE
    )
    os.close(terminal)
    pieces: list[bytes] = [f"$ {command}\n".encode()]
    log = called.stderr
    if log is None:
        raise RuntimeError(f"{command}: its log cannot be read")
    with log:
        thread = threading.Thread(target=lambda: pieces.extend(log))
        thread.start()
        pieces.extend(_until_closed(reading))
        thread.join()
    code = called.wait()
    printed = b"".join(pieces).decode().replace("\r\n", "\n")
    if code:
        raise RuntimeError(f"{command}: exit code {code}\n{printed}")
    return printed


def _until_closed(descriptor: int) -> list[bytes]:
    """Return what comes through a pseudo-terminal until nobody has its other end."""
    pieces = []
    with open(descriptor, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(4096)
            except OSError:  # Linux says so where others give an empty piece
                return pieces
            if not piece:
                return pieces
            pieces.append(piece)
