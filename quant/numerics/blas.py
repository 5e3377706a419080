"""Give BLAS one thread: what a long sum rounds to depends on how many it has.

OpenBLAS deals products and factorizations out over its threads, and cuts sums differently for each
number of them: weights rounded by such figures would be others on one core than on two. Its threads
also wait for each other awake, and take the cores from whatever runs beside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread, in all threads of the process."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    # numpy and scipy bring one each, and whoever calls has loaded them.
    return ThreadpoolController()
