"""Run ONNX models as functions from picture to picture, whatever form their files take those in."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx

from calib.arrays import AnyArray, Float32
from calib.form import Form
from calib.runtime import Session

Runner = Callable[[Float32], Float32]
"""Maps an input [K, 3, H, W] in [0, 1] to an output [K, 3, H*scale, W*scale], for any K."""


def model_runner(
    model: onnx.ModelProto | bytes | Path,
    *,
    optimized: bool,
    threads: int | None = None,
    config: Mapping[str, str] | None = None,
    provider: str = "CPUExecutionProvider",
) -> Runner:
    """Load a model and return the function it computes.

    Args:
        model: with one input and one output, both pictures in the form that its metadata state.
        optimized: as the runtime really executes it, or in its QDQ reference semantics.
        threads: for the runtime; ``None`` takes every core.
        config: further entries of the runtime's session configuration.
        provider: execution provider of onnxruntime.

    Raises:
        GraphError: the runtime refuses the model, or its metadata state no form of pictures.
    """
    session = Session(
        model,
        optimized=optimized,
        threads=threads,
        config=config,
        provider=provider,
    )
    (input_name,), (output_name,) = session.inputs, session.outputs
    batch = session.input_shapes[input_name][0]

    def compute(given: AnyArray) -> AnyArray:
        return session.run({input_name: given})[output_name]

    run = in_form_of_file(compute, Form.stated_in(session.metadata))
    return in_batches(run, batch) if isinstance(batch, int) else run


def in_form_of_file(compute: Callable[[AnyArray], AnyArray], form: Form) -> Runner:
    """Return what a file computes as a function from picture to picture.

    Args:
        compute: from what the file takes to what it gives out.
        form: in which it takes and gives pictures.
    """

    def run(network_input: Float32) -> Float32:
        return form.planes_given(compute(form.taken(network_input)))

    return compute if form.usual else run


def in_batches(run: Runner, batch: int) -> Runner:
    """Return ``run``, which takes ``batch`` pictures at once, as a function of any number of them.

    The last batch is filled up with the first pictures.
    """

    def whole(network_input: Float32) -> Float32:
        if len(network_input) == batch:
            return run(network_input)
        drawn = [run(chunk) for chunk in full_batches(network_input, batch)]
        return np.concatenate(drawn)[: len(network_input)]

    return whole


def full_batches(pictures: Float32, batch: int) -> list[Float32]:
    """Return float32 [K, 3, H, W] as arrays [batch, 3, H, W], filled up with the first pictures.

    >>> [one[:, 0, 0, 0].tolist() for one in full_batches(np.arange(3).reshape(3, 1, 1, 1), 2)]
    [[0, 1], [2, 0]]
    """
    count = -(-len(pictures) // batch) * batch
    filled = np.arange(count) % len(pictures)
    return [
        np.ascontiguousarray(pictures[filled[start : start + batch]])
        for start in range(0, count, batch)
    ]
