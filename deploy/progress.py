"""Tell the caller how far long work is: stages with a name, a length and steps done."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[], None]


class Progress(Protocol):
    """Receives the stages of a build or a verification as they happen."""

    def stage(self, title: str, steps: int) -> AbstractContextManager[Advance]:
        """Open a stage of ``steps`` steps; the value entered reports one step done."""
        ...

    def note(self, line: str) -> None:
        """Tell the user one fact worth a line."""
        ...


class Silent:
    """A progress that nobody watches."""

    @contextmanager
    def stage(self, title: str, steps: int) -> Iterator[Advance]:  # noqa: ARG002  # the protocol
        """Open a stage and report nothing."""
        yield lambda: None

    def note(self, line: str) -> None:
        """Drop the line."""
