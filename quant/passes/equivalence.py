"""Compare what two graphs give out on the same inputs.

    PSNR = 10 log10( peak^2 / mean (a - b)^2 ) dB, of the output that agrees least
    peak = max( 1, root mean square of the output )

Two float32 engines that add in another order agree to about 130 dB after a few hundred operations;
float32 itself rounds at 144 dB. Rounding is relative: an output whose values lie far beyond a
picture's, as untrained weights give, is held to their size. For pictures the peak is 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from calib.runtime import Session
from quant.numerics.psnr import psnr_of

Outputs = Mapping[str, Float32]
"""Output name to value, for one input."""


@dataclass(frozen=True, eq=False)
class Probe:
    """An input that two graphs are compared on.

    Attributes:
        values: float32, what goes in.
        outputs: what the graph that is compared with gives out, where that is known already.
    """

    values: Float32
    outputs: Outputs | None = None


@dataclass(frozen=True)
class Equivalence:
    """How closely two graphs agree, over all probes.

    Attributes:
        psnr_db: the worst output's peak signal to noise ratio; infinite when the outputs are equal
            bit for bit.
        max_abs_error: largest absolute difference of two output values.
        probes: inputs compared.
    """

    psnr_db: float
    max_abs_error: float
    probes: int


def require_equivalent(
    found: Sequence[Outputs], expected: Sequence[Outputs], *, min_psnr_db: float, parties: str
) -> Equivalence:
    """Compare all outputs on all probes.

    Args:
        found: outputs of one graph, an entry per probe.
        expected: outputs of the other, in the same order.
        min_psnr_db: what every output must reach.
        parties: what is compared, for the message, such as ``the graph and torch``.

    Raises:
        GraphError: an output differs by more than that, is NaN or of another shape, or there is
            nothing to compare.
    """
    for one, other in zip(found, expected, strict=True):
        for name in other:
            if one[name].shape != other[name].shape:  # numpy might stretch one to the other
                raise GraphError(
                    f"found {list(one[name].shape)} for output {name!r} of {parties}, expected "
                    f"{list(other[name].shape)}"
                )
    errors = [
        np.subtract(one[name], other[name], dtype=np.float64)
        for one, other in zip(found, expected, strict=True)
        for name in other
    ]
    if not errors:
        raise GraphError(f"{parties} are compared on probes: found none, expected at least 1")
    max_abs_error = max(float(np.abs(error).max()) for error in errors)
    mean_squares = [float(np.square(error).mean()) for error in errors]
    peaks = [_peak(other[name]) for other in expected for name in other]
    psnr_db = float(np.min(list(map(psnr_of, mean_squares, peaks))))  # NaN, if one is
    # Written so that NaN, which compares false with everything, is refused too.
    if not psnr_db >= min_psnr_db:
        raise GraphError(
            f"found {psnr_db:.1f} dB between {parties}, largest error {max_abs_error:.2g}; "
            f"expected at least {min_psnr_db:.0f} dB"
        )
    return Equivalence(psnr_db, max_abs_error, len(expected))


def _peak(output: Float32) -> float:
    return max(1.0, float(np.sqrt(np.square(output, dtype=np.float64).mean())))


def outputs_of(model: onnx.ModelProto, probes: Sequence[Float32]) -> list[Outputs]:
    """Run a graph on every probe.

    Raises:
        GraphError: it has not exactly one input, or onnxruntime refuses it.
    """
    session = Session(model, optimized=True)
    if len(session.inputs) != 1:
        raise GraphError(f"found inputs {list(session.inputs)}, expected one")
    return [session.run({session.inputs[0]: probe}) for probe in probes]
