"""Files that lie, as a table: who makes one, which command is given it, and what must be said.

Whatever a file holds, a command that is given it exits 1 or 2, says in one line which file and why,
writes nothing, and runs no network to find out.
"""

import json
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.deploy.builds import run

Make: TypeAlias = Callable[[bytes], bytes]
LONGEST_LINE = 600


@dataclass(frozen=True)
class Lie:
    """One file that is not what it seems.

    Attributes:
        file: its name.
        make: its bytes, from those of a good file.
        says: regular expression that the line must hold.
        code: exit status that the contract gives for it.
    """

    file: str
    make: Make
    says: str
    code: int = 2


def always(content: bytes) -> Make:
    """Return a maker that needs no good file."""
    return lambda _: content


def flipped(position: float, bit: int = 7) -> Make:
    """Turn one bit over, at that share of the file's length."""

    def make(good: bytes) -> bytes:
        spoiled = bytearray(good)
        spoiled[int(len(good) * position)] ^= 1 << bit
        return bytes(spoiled)

    return make


def cut(share: float) -> Make:
    return lambda good: good[: int(len(good) * share)]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every path under a folder with its inode and, of a file, its time of change."""
    return {
        path.relative_to(folder).as_posix(): (
            found.st_ino,
            0 if stat.S_ISDIR(found.st_mode) else found.st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        for found in [path.lstat()]
    }


@dataclass(frozen=True)
class Refusal:
    """How a command ended.

    Attributes:
        code: exit status.
        lines: what was said against what was given, one for each complaint.
        output: everything that was printed.
    """

    code: int
    lines: tuple[str, ...]
    output: str


def refusal(command: str, folder: Path, names: Mapping[str, object] | None = None) -> Refusal:
    """Run a command that must refuse, and return how it did.

    Args:
        command: words of the command line; ``{folder}`` and other names in braces are filled in.
        folder: everything under it must stay as it is.
        names: values of the other names.

    Raises:
        AssertionError: it ended in a traceback, said nothing, or wrote something.
    """
    before = snapshot(folder)
    words = [word.format(folder=folder, **(names or {})) for word in shlex.split(command)]
    result = run(*words, "--json")
    assert isinstance(result.exception, SystemExit), (words, result.exception, result.output)
    assert "Traceback" not in result.output
    assert snapshot(folder) == before, "something was written"
    document = json.loads(result.stdout)
    said = [line for line in result.stderr.splitlines() if line.startswith("esrdeploy: ")]
    if "error" in document:
        assert said == [f"esrdeploy: {document['error']['message']}"], result.stderr
        assert not re.search(r"[0-9a-f]{64}", said[0]), "a whole digest is nothing to read"
    else:
        said = list(_complaints(document))
    return Refusal(result.exit_code, tuple(said), result.output)


def _complaints(document: dict) -> list[str]:
    """Return what a verdict finds wrong, one line each."""
    if "problems" in document:
        return [*document["problems"], *document["refusals"]]
    checks = [*document.get("checks", ())]
    checks += [check for build in document.get("builds", ()) for check in build["checks"]]
    return [f"{c['file']}: {c['found']}" for c in checks if c["status"] == "failed"]


def require(refused: Refusal, *, file: str, says: str, code: int) -> None:
    """Demand that a refusal has that code, and one line that names the file and the reason."""
    assert refused.code == code, refused.output
    about = [line for line in refused.lines if file in line and re.search(says, line)]
    assert len(about) == 1, (file, says, refused.lines)
    assert len(about[0]) < LONGEST_LINE, about[0]
    assert "\n" not in about[0].strip()
