"""Run commands so that each ends alike: one line on stderr, one document with ``--json``, one code.

    0     done
    1     a verification failed, or what was given is not what it claims to be
    2     bad usage or bad input
    130   interrupted (SIGINT)
    143   terminated (SIGTERM)

Errors of the tree (calib/errors.py), options that the parser refuses, files that the system refuses
and libraries that are not installed all pass through here.
"""

import errno
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from calib.errors import EsrdeployError
from deploy.cli.console import error_line, print_json, short_digests
from deploy.cli.stopping import interrupted_code, say_once

INTERRUPTED = 130
_DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_BAD_INPUT = 2
# What the parser raises for any bad usage; typer exports no more of its tree than one leaf.
_USAGE: Any = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """The commands of esrdeploy under one guard."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  # the signature is typer's
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command that ``args`` name, and exit with its code.

        Raises:
            SystemExit: always.
        """
        given = list(sys.argv[1:] if args is None else args)
        _require_words(given)
        try:
            code = super().main(
                args,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except _USAGE as error:
            if not given:
                error.show()  # the help
                sys.exit(_BAD_INPUT)
            _refuse(
                given,
                "UsageError",
                f"{_sentence(error.format_message())} See '{self._path(given)}'.",
            )
        except EsrdeployError as error:
            _refuse(given, type(error).__name__, str(error), error.exit_code)
        except ModuleNotFoundError as error:
            from calib.extras import missing_library

            missing = missing_library(error.name or "")
            if missing is None:  # a fault of this program
                raise
            _refuse(given, "UsageError", missing)
        except OSError as error:
            if error.filename is not None:
                message = f"{error.filename}: {error.strerror}; expected a file that can be used"
            elif error.errno in _DISK_REFUSES:
                message = f"cannot write: {error.strerror}; free some, or write to another disk"
            else:  # no file's fault: a fault of this program
                raise
            _refuse(given, "UsageError", message)
        if code == INTERRUPTED:
            say_once(partial(say_stopped, given))
            code = interrupted_code()
        sys.exit(code or 0)

    def _path(self, given: Sequence[str]) -> str:
        """Return the command line that explains the command named."""
        named = [word for word in given if word in self.commands]
        return " ".join(["esrdeploy", *named[:1], "--help"])


def _require_words(given: Sequence[str]) -> None:
    """Refuse a value of no letters: no option means anything by one, a shell's empty variable does.

    An empty path would be the current folder.
    """
    for before, word in zip(["", *given], given, strict=False):
        option, _, value = word.rpartition("=") if word.startswith("--") else (before, "", word)
        if not value.strip():
            shown = option if option.startswith("-") else "an argument"
            _refuse(
                given, "UsageError", f"{shown} is given an empty value; give one, or leave it out"
            )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", ")")) else f"{text}."


def say_stopped(given: Sequence[str], code: int) -> None:
    """Say that a command was stopped by a signal, and how to go on.

    Args:
        given: the command line.
        code: exit status that tells which signal it was.
    """
    kind = "Interrupted" if code == INTERRUPTED else "Terminated"
    message = (
        f"{kind.lower()} before it was done; run the same command again: it goes on from what "
        "was finished"
    )
    _say(given, kind, message, code)


def _refuse(given: Sequence[str], kind: str, message: str, code: int = _BAD_INPUT) -> NoReturn:
    """Say why a command did not do what was asked, and exit."""
    _say(given, kind, message, code)
    sys.exit(code)


def _say(given: Sequence[str], kind: str, message: str, code: int) -> None:
    message = short_digests(message)
    error_line(message)
    if "--json" in given:
        fact = {"kind": kind, "message": " ".join(message.split())}
        command = next((word for word in given if not word.startswith("-")), None)
        content = {"command": command, "error": fact, "exit_code": code}
        print_json("esrdeploy.cli.error/1", content)
        sys.stdout.flush()
