"""Run ONNX models with onnxruntime: the one module that imports it.

Two ways of running the same file are told apart throughout the project:

- ``optimized=False`` turns every graph rewrite off. QuantizeLinear and DequantizeLinear then
  do exactly what the ONNX specification says: QDQ reference semantics
  (docs/decisions/0002-qdq-reference-semantics.md). A graph of fp16 scales is computed in float32,
  of the numbers that it holds (docs/decisions/0017-strongly-typed-graphs.md).
- ``optimized=True`` is what onnxruntime really executes: fused, with integer kernels. On
  x86-64 CPUs without VNNI its 8-bit multiply saturates at 16 bits, so its result may differ
  from the reference semantics.

Either way the CPU provider computes fp16 nodes in float32, on weights rounded to fp16; it does not
round what they give out.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError

from calib.arrays import AnyArray
from calib.errors import GraphError
from calib.files import read_whole
from calib.widen import reference_graph

ORT_VERSION: str = ort.__version__
_CPU = "CPUExecutionProvider"
_EXTEND, _AS_REQUESTED = "arena_extend_strategy", 1  # instead of by the next power of two
_SHRINK = "memory.enable_memory_arena_shrinkage"
_LOG_OFF = 4  # what it would log as an error is raised as one


class Session:
    """One loaded model, on the CPU execution provider unless another is named.

    All of a process take memory from one arena, so that several of them, one after the other, need
    no more than the largest. It keeps what it once took, until :func:`give_back_memory`.

    Args:
        model: a serialized or parsed ONNX model, or the path of one.
        optimized: run with all graph optimizations, or with none.
        threads: intra-op threads; ``None`` takes every core.
        config: further onnxruntime session entries, such as
            ``{"session.x64quantprecision": "1"}``.
        save_optimized: where onnxruntime writes the graph it made of the model, if anywhere.
        provider: the execution provider; what it does not compute runs on the CPU.

    Raises:
        GraphError: onnxruntime refuses the model.
    """

    def __init__(  # noqa: PLR0913  # five of them have defaults
        self,
        model: onnx.ModelProto | bytes | Path,
        *,
        optimized: bool,
        threads: int | None = None,
        config: Mapping[str, str] | None = None,
        save_optimized: Path | None = None,
        provider: str = _CPU,
    ) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            if optimized
            else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.log_severity_level = _LOG_OFF
        # From the second run on it would hold all activations in one block, beside the arena's.
        options.enable_mem_pattern = False
        # Idle workers would otherwise spin and take the cores from numpy between two runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        _register_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        for key, value in (config or {}).items():
            options.add_session_config_entry(key, value)
        if save_optimized is not None:
            options.optimized_model_filepath = str(save_optimized)
        if not optimized:
            model = _reference(model)
        source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
        try:
            self._session = ort.InferenceSession(
                str(source) if isinstance(source, Path) else source,
                options,
                providers=list(dict.fromkeys((provider, _CPU))),
            )
        except Exception as error:  # onnxruntime's errors share no base class
            reason = str(error).strip().splitlines()[0]
            raise GraphError(f"onnxruntime cannot load the graph: {reason}") from error
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        self.input_shapes = {n.name: tuple(n.shape) for n in self._session.get_inputs()}
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(
        self,
        feeds: Mapping[str, AnyArray],
        outputs: Sequence[str] | None = None,
        config: Mapping[str, str] | None = None,
    ) -> dict[str, AnyArray]:
        """Run the model once.

        Args:
            feeds: an array for each graph input, in its dtype and shape.
            outputs: which outputs to return; ``None`` returns all.
            config: further onnxruntime run entries.

        Returns:
            The arrays by output name.

        Raises:
            GraphError: a node cannot be run.
        """
        names = list(outputs) if outputs is not None else list(self.outputs)
        options = ort.RunOptions()
        for key, value in (config or {}).items():
            options.add_run_config_entry(key, value)
        try:
            found = self._session.run(names, dict(feeds), options)
        except Exception as error:  # onnxruntime's errors share no base class
            reason = str(error).strip().splitlines()[0]
            raise GraphError(f"onnxruntime cannot run the graph: {reason}") from error
        return dict(zip(names, found, strict=True))


def _reference(model: onnx.ModelProto | bytes | Path) -> onnx.ModelProto | bytes | Path:
    """Return :func:`calib.widen.reference_graph` of a model; one that cannot be read, as it is."""
    if isinstance(model, onnx.ModelProto):
        return reference_graph(model)
    parsed = onnx.ModelProto()
    try:
        parsed.ParseFromString(read_whole(model) if isinstance(model, Path) else model)
    except (OSError, DecodeError):  # onnxruntime says what is wrong with it
        return model
    found = reference_graph(parsed)
    return model if found is parsed else found


def installed_providers() -> tuple[str, ...]:
    """Return the execution providers that this onnxruntime has."""
    return tuple(ort.get_available_providers())


def shares(jobs: int, threads: int | None = None, most: int = 2) -> tuple[int, int]:
    """Return how many inferences to run side by side, and threads for each.

    Two inferences on a core each take 5 to 18 % less time than one after the other on both
    (x4plus, 2 cores), and give the same bits. Each holds the activations of a picture, hence
    the limit.

    Args:
        jobs: inferences in all.
        threads: for all of them together; ``None`` takes every core.
        most: how many may be held at once.

    >>> shares(jobs=12, threads=2)
    (2, 1)
    >>> shares(jobs=1, threads=2)
    (1, 2)
    """
    cores = threads or os.cpu_count() or 1
    workers = max(1, min(cores, jobs, most))
    return workers, max(1, cores // workers)


def give_back_memory() -> None:
    """Give the system what inferences once took and no longer hold, before something large begins.

    Beside the arena of all sessions this empties the heap of the C library where it can, which is
    glibc's. Before x4plus is refined that is 1.2 GB of 2.5.
    """
    _smallest().run({"x": np.zeros(1, np.float32)}, config={_SHRINK: "cpu:0"})
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@functools.cache
def _smallest() -> Session:
    """Return a session of next to nothing, whose runs can ask for what concerns the arena."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        smallest (float[1] x) => (float[1] y) { y = Identity(x) }"""
    return Session(onnx.parser.parse_model(text), optimized=False, threads=1)


@functools.cache
def _register_arena() -> None:
    """Give onnxruntime's process-wide environment an arena; it can be given once."""
    place = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(place, ort.OrtArenaCfg({_EXTEND: _AS_REQUESTED}))
