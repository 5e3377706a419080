"""Run a float graph and hand out the tensors wanted of it, a few at a time.

The graph is cut into segments that run one after another, each as its own onnxruntime session,
so that what a segment hands out stays under a byte budget (calib/segments.py).

The cuts depend on the graph, the wanted tensors and the budget alone, and each session computes
the same bits with any number of threads, so the tensors are reproducible on one kind of CPU.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import onnx

from calib.arrays import AnyArray
from calib.errors import CalibrationError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.segments import BUDGET_BYTES, segment_model, split_graph
from calib.statistics import TensorStatistics
from calib.widen import reference_graph


class SegmentedGraph:
    """A graph loaded as a chain of sessions that gives up its inner tensors as it runs.

    Args:
        model: the graph, with static shapes.
        wanted: tensors to hand out, graph inputs included if named.
        threads: threads per session; ``None`` takes every core.
        budget_bytes: see :func:`split_graph`.
        optimized: run fused, as shipped, or exactly node by node.

    Attributes:
        wanted: the tensors handed out, each once.
        inputs: static shape of each graph input.

    Raises:
        CalibrationError: nothing is wanted, or a wanted tensor is not in the graph.
        GraphError: the graph cannot be cut or loaded.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        wanted: Sequence[str],
        *,
        threads: int | None = None,
        budget_bytes: int = BUDGET_BYTES,
        optimized: bool = True,
    ) -> None:
        if not wanted:
            raise CalibrationError("no tensors to observe; name at least one")
        index = GraphIndex(model if optimized else reference_graph(model))
        self.wanted = tuple(dict.fromkeys(wanted))
        self.inputs = {name: index.shape(name) for name in index.inputs}
        segments = split_graph(index, self.wanted, budget_bytes)
        # Names only: a kept node would keep the whole model in memory.
        self._ends = [(segment.inputs, segment.outputs) for segment in segments]
        self._last_reader = {name: at for at, ends in enumerate(self._ends) for name in ends[0]}
        self._sessions = [
            Session(segment_model(index, segment), optimized=optimized, threads=threads)
            for segment in segments
        ]

    def run(self, feeds: Mapping[str, AnyArray]) -> Iterator[dict[str, AnyArray]]:
        """Run once; yield the wanted tensors of each segment, by name, as they appear.

        A yielded array is dropped when the caller drops it, unless a later segment reads it.
        """
        held = dict(feeds)
        given = {name: held[name] for name in self.wanted if name in held}
        if given:
            yield given
        wanted = frozenset(self.wanted)
        for number, ((inputs, outputs), session) in enumerate(
            zip(self._ends, self._sessions, strict=True)
        ):
            made = session.run({name: held[name] for name in inputs}, outputs)
            held = {
                name: array
                for name, array in (held | made).items()
                if self._last_reader.get(name, -1) > number
            }
            appeared = {name: array for name, array in made.items() if name in wanted}
            del made
            if appeared:
                yield appeared
            del appeared


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that count values; they and their scratch memory last as long as we do."""
    return ThreadPoolExecutor(threads)


def observe(
    graph: SegmentedGraph,
    feeds: Mapping[str, AnyArray],
    *,
    source: str,
    threads: int | None = None,
) -> dict[str, TensorStatistics]:
    """Run a graph once and return the statistics of its wanted tensors, in their given order.

    A segment's tensors are counted while the next one runs: what it does on one thread alone, such
    as joining and reordering tensors, leaves a core idle.

    Args:
        graph: the loaded graph.
        feeds: one image, by graph input.
        source: the image's name, for messages.
        threads: threads that count values; ``None`` takes every core.

    Raises:
        CalibrationError: a tensor holds NaN or infinity; the message names both.
    """

    def statistics(item: tuple[str, AnyArray]) -> TensorStatistics:
        try:
            return TensorStatistics.of(item[1])
        except CalibrationError as error:
            raise CalibrationError(
                f"tensor {item[0]!r} on image {source!r}: {error}; "
                "check the weights and the image, no range can be taken from such values"
            ) from error

    found: dict[str, TensorStatistics] = {}
    pool = _pool(threads or os.cpu_count() or 1)
    counted: dict[str, Future[TensorStatistics]] = {}
    for appeared in graph.run(feeds):
        found |= {name: future.result() for name, future in counted.items()}
        counted = {name: pool.submit(statistics, (name, a)) for name, a in appeared.items()}
        appeared.clear()
    found |= {name: future.result() for name, future in counted.items()}
    return {name: found[name] for name in graph.wanted}
