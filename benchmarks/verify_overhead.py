"""Measure how much of a build's verification is not inference.

    python benchmarks/verify_overhead.py dist/x4plus-anime-6b

Verifies the build as ``esrdeploy verify`` does and adds up the time inside the networks: every run
of an onnxruntime session, of the torch network and of OpenVINO. What is left is the verifier's
own: hashing, reading, making the models again, loading sessions, importing torch, comparing
pictures. It is given as a share of the inferences.
"""

import argparse
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
    """Adds up the time spent in some functions, by name; nested calls count once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, its calls timed under ``name``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - started
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
                self.calls[name] = self.calls.get(name, 0) + 1

        return run


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
    inferences = sum(s for name, s in watch.seconds.items() if name.endswith("inference"))
    for name, spent in sorted(watch.seconds.items()):
        print(f"{name}: {spent:.2f} s in {watch.calls[name]} calls")
    print(f"total: {total:.2f} s, verified: {all(item.passed for item in verifications)}")
    print(
        f"beyond the inferences: {total - inferences:.2f} s, "
        f"{(total - inferences) / inferences:.1%} of them"
    )


if __name__ == "__main__":
    main()
