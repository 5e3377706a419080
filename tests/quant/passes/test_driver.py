"""A pass that breaks its promise is named; one that keeps it leaves its figures."""

import math
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from quant.passes.driver import PassProof, prove_rewrites
from quant.passes.equivalence import Probe, outputs_of
from tests.quant.by_model import prove_equal

Rewrite = Callable[[onnx.ModelProto], onnx.ModelProto]


def proofs_of(
    model: onnx.ModelProto, passes: dict[str, Rewrite], probes: list[Probe]
) -> tuple[PassProof, ...]:
    """Apply passes one after the other and prove each."""
    rewrites, last = {}, model
    for name, rewrite in passes.items():
        rewrites[name] = last = rewrite(last)
    return prove_rewrites(model, rewrites, probes)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def scaled_weight(factor: float) -> Rewrite:
    """A pass that multiplies the last convolution's weight, and so the picture."""

    def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
        changed = copied(model)
        for tensor in changed.graph.initializer:
            if tensor.name == "w4":
                value = numpy_helper.to_array(tensor) * np.float32(factor)
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        return changed

    return rewrite


def without_last_node(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = copied(model)
    del changed.graph.node[-1]
    return changed


def renamed_output(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = copied(model)
    changed.graph.node[-1].output[0] = changed.graph.output[0].name = "picture"
    return changed


def free_height(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = copied(model)
    del changed.graph.value_info[:]
    changed.graph.value_info.append(
        onnx.helper.make_tensor_value_info("pre1", onnx.TensorProto.FLOAT, [1, 2, "h", 8])
    )
    return changed


def test_each_pass_leaves_a_proof(residual: onnx.ModelProto, probes: Callable) -> None:
    passes = {"same": copied, "nearly": scaled_weight(1.0 + 2.0**-23)}
    proofs = proofs_of(residual, passes, list(map(Probe, probes(residual))))
    exact, rounded = proofs
    assert (exact.name, exact.equivalence.psnr_db, exact.equivalence.probes) == (
        "same",
        math.inf,
        4,
    )
    assert exact.record().psnr_db is None
    assert exact.nodes_before == exact.nodes_after == len(residual.graph.node)
    assert rounded.equivalence.psnr_db > 120.0
    assert 0.0 < rounded.record().max_abs_error < 1e-5


def test_known_outputs_are_what_the_first_pass_is_held_against(
    residual: onnx.ModelProto, probes: Callable
) -> None:
    inputs = probes(residual)
    known = list(map(Probe, inputs, outputs_of(residual, inputs)))
    passes = {"same": copied, "again": copied}
    assert all(p.equivalence.psnr_db == math.inf for p in proofs_of(residual, passes, known))
    wrong = [Probe(p.values, {n: v + 1e-3 for n, v in p.outputs.items()}) for p in known]
    with pytest.raises(GraphError, match="pass 'same' does not keep the network"):
        proofs_of(residual, passes, wrong)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (scaled_weight(1.001), "dB between the graphs"),
        (scaled_weight(math.nan), "found nan dB"),
        (without_last_node, "checker refuses"),
        (renamed_output, "other inputs or outputs"),
        (free_height, "'pre1' of its result has no static shape"),
    ],
    ids=["another network", "NaN", "invalid", "interface", "shape"],
)
def test_a_broken_pass_is_named(
    broken: Rewrite, reason: str, residual: onnx.ModelProto, probes: Callable
) -> None:
    passes = {"same": copied, "broken": broken}
    with pytest.raises(GraphError, match=f"pass 'broken' does not keep the network.*{reason}"):
        proofs_of(residual, passes, list(map(Probe, probes(residual))))


def test_comparing_nothing_is_an_error(residual: onnx.ModelProto) -> None:
    with pytest.raises(GraphError, match="found none, expected at least 1"):
        prove_equal(residual, residual, [])
