"""Run ONNX models as functions from picture to picture."""

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

from calib.arrays import Float32
from calib.runtime import Session

Runner = Callable[[Float32], Float32]
"""Maps an input [1, 3, H, W] in [0, 1] to an output [1, 3, H*scale, W*scale]."""


def model_runner(
    model: onnx.ModelProto | bytes | Path,
    *,
    optimized: bool,
    threads: int | None = None,
    config: Mapping[str, str] | None = None,
) -> Runner:
    """Load a model and return the function it computes.

    Args:
        model: with one input and one output, both float32 [1, 3, H, W].
        optimized: as the runtime really executes it, or in its QDQ reference semantics.
        threads: for the runtime; ``None`` takes every core.
        config: further entries of the runtime's session configuration.

    Raises:
        GraphError: the runtime refuses the model.
    """
    session = Session(model, optimized=optimized, threads=threads, config=config)
    (input_name,), (output_name,) = session.inputs, session.outputs

    def run(network_input: Float32) -> Float32:
        return session.run({input_name: network_input})[output_name]

    return run
