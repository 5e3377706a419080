"""Compute the next item of a run while the one before is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(pool: ThreadPoolExecutor, run: Iterator[Item]) -> Iterator[Item]:
    """Yield what a run gives out, its next item being computed in ``pool`` meanwhile.

    At most one item waits, so that memory does not depend on which side is faster.

    >>> with ThreadPoolExecutor(1) as pool:
    ...     list(ahead(pool, iter("abc")))
    ['a', 'b', 'c']
    """
    pending = pool.submit(next, run, None)
    while (item := pending.result()) is not None:
        pending = pool.submit(next, run, None)
        yield item
