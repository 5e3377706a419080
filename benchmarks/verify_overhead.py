"""Measure how much of a build's verification is not inference.

    python benchmarks/verify_overhead.py dist/x4plus-anime-6b

Verifies the build as ``esrdeploy verify`` does and takes the time during which a network runs, one
or several side by side: an onnxruntime session, the torch network or OpenVINO. What is left is the
verifier's own: hashing, reading, making the models again, loading sessions, importing torch,
comparing pictures. It is given as a share of the inferences.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from calib.runtime import Session
from deploy.progress import Silent
from deploy.runtime.backends import is_installed
from deploy.verify.explain import LAYER_PICTURES, VERDICT_ONLY, VerifyOptions
from deploy.verify.verdict import verify_tree

TORCH = ("deploy.network.torch_modules", "torch_runner", "torch inference")
OPENVINO = ("deploy.runtime.openvino", "openvino_runner", "openvino inference")


class Stopwatch:
    """Keeps when some functions ran, by name; they may run side by side."""

    def __init__(self) -> None:
        self.spans: dict[str, list[tuple[float, float]]] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, its calls timed under ``name``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spans.setdefault(name, []).append((started, time.perf_counter()))

        return run


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds during which at least one of some spans lasts.

    >>> covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    total, until = 0.0, -math.inf
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, until))
        until = max(until, stop)
    return total


@contextmanager
def watched(engines: Iterable[tuple[str, str, str]]) -> Iterator[Stopwatch]:
    """Time every inference and every loading of a session while the context is open.

    Args:
        engines: module, function that loads a network, and what its runs are called. The module
            is imported here, which counts as the verifier's own time, as it would there.
    """
    watch = Stopwatch()

    def timed_maker(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: watch.timed(name, make(*args, **kwargs))

    with ExitStack() as stack:
        stack.enter_context(
            patch.object(Session, "run", watch.timed("onnxruntime inference", Session.run))
        )
        stack.enter_context(
            patch.object(Session, "__init__", watch.timed("loading sessions", Session.__init__))
        )
        for module, name, what in engines:
            imported = import_module(module)
            stack.enter_context(
                patch.object(imported, name, timed_maker(what, getattr(imported, name)))
            )
        yield watch


def main() -> None:
    """Verify the build named on the command line and print where the time went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="folder that esrdeploy build made")
    parser.add_argument("--backends", action="store_true", help="measure backend error as well")
    parser.add_argument("--layers", action="store_true", help="compare every tensor as well")
    arguments = parser.parse_args()
    scope = VerifyOptions(
        None if arguments.backends else VERDICT_ONLY.backends,
        LAYER_PICTURES if arguments.layers else 0,
    )
    engines = [TORCH]
    if arguments.backends and is_installed("openvino"):
        engines.append(OPENVINO)
    started = time.perf_counter()
    with watched(engines) as watch:
        verifications = verify_tree(
            arguments.build, images=None, weights=None, progress=Silent(), options=scope
        )
    total = time.perf_counter() - started
    running = [spans for name, spans in watch.spans.items() if name.endswith("inference")]
    inferences = covered(itertools.chain(*running))
    for name, spans in sorted(watch.spans.items()):
        print(f"{name}: {covered(spans):.2f} s in {len(spans)} calls")
    print(f"total: {total:.2f} s, verified: {all(item.passed for item in verifications)}")
    print(
        f"beyond the inferences: {total - inferences:.2f} s, "
        f"{(total - inferences) / inferences:.1%} of them"
    )


if __name__ == "__main__":
    main()
