"""Guess which of some names a misspelt one was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question to put behind a refusal, or nothing where no name is near.

    >>> meant("qualcom", ["qnn", "qualcomm"])
    '; did you mean qualcomm?'
    >>> meant("abc", ["qnn", "qualcomm"])
    ''
    """
    near = get_close_matches(name.lower(), list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""
