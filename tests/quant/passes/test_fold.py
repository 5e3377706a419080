"""The same network without a residual scale; what is none is refused."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.scale_absorbers import residual_scales
from quant.passes.driver import prove_rewrites
from quant.passes.equivalence import Probe
from quant.passes.fold import fold
from tests.quant.by_model import prove_equal

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def branch(body: str, declared: str = "float k = {0.5}", outputs: str = "") -> str:
    """One residual branch whose convolution makes ``made``; ``body`` makes ``end`` of it."""
    return f"""{HEADER}
branch (float[1,3,6,6] input) => (float[1,3,6,6] output{outputs})
<float[3,3,3,3] w, float[3] b, {declared}>
{{
  [conv] made = Conv<pads=[1,1,1,1]>(input, w, b)
  {body}
  [sum] output = Add(end, input)
}}
"""


SCALED = {
    "a number": branch("[m] end = Mul(made, k)"),
    "the number first": branch("[m] end = Mul(k, made)"),
    "a number per channel": branch("[m] end = Mul(made, k)", "float[3,1,1] k = {0.5, 2.0, 0.25}"),
    "in a batch": branch("[m] end = Mul(made, k)", "float[1,3,1,1] k = {0.5, 2.0, 0.25}"),
}

NOT_SCALED = {
    "negative": branch("[m] end = Mul(made, k)", "float k = {-0.5}"),
    "zero": branch("[m] end = Mul(made, k)", "float k = {0.0}"),
    "per column": branch("[m] end = Mul(made, k)", "float[6] k = {1., 2., 3., 4., 5., 6.}"),
    "two readers": branch("[m] half = Mul(made, k)\n  [n] end = Add(half, made)"),
    "constant read twice": branch("[m] half = Mul(made, k)\n  [n] end = Mul(half, k)"),
    "behind an activation": branch("[a] act = Relu(made)\n  [m] end = Mul(act, k)"),
    "no constant": branch("[m] end = Mul(made, input)"),
    "product given out": branch("[m] end = Mul(made, k)", outputs=", float[1,3,6,6] end"),
    "convolution given out": branch("[m] end = Mul(made, k)", outputs=", float[1,3,6,6] made"),
}


@pytest.mark.parametrize("name", SCALED)
def test_a_folded_graph_computes_the_same_bits(
    name: str, parsed: Callable, probes: Callable
) -> None:
    model = parsed(SCALED[name])
    before = model.SerializeToString(deterministic=True)
    folded = fold(model, ["m"])
    onnx.checker.check_model(folded.model, full_check=True)
    # Powers of two: not even the rounding of weights differs.
    assert prove_equal(model, folded.model, probes(model)).max_abs_error == 0.0
    assert [node.name for node in folded.model.graph.node] == ["conv", "sum"]
    assert {tensor.name for tensor in folded.model.graph.initializer} == {"w", "b"}
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("name", SCALED)
def test_a_folded_convolution_gives_out_what_it_did_over_the_factor(
    name: str, parsed: Callable, probes: Callable, exposed: Callable
) -> None:
    model = parsed(SCALED[name])
    folded = fold(model, ["m"])
    (factors,) = folded.tensors.values()
    original, after = (
        Session(exposed(graph, ("made",)), optimized=False, threads=1).run(
            {"input": probes(model)[0]}
        )["made"]
        for graph in (model, folded.model)
    )
    np.testing.assert_array_equal(after * factors.reshape(3, 1, 1).astype(np.float32), original)


@pytest.mark.parametrize("name", NOT_SCALED)
def test_what_is_no_residual_scale_is_refused(name: str, parsed: Callable) -> None:
    model = parsed(NOT_SCALED[name])
    assert residual_scales(GraphIndex(model)) == ()
    with pytest.raises(GraphError, match="'m' to multiply the output of a convolution"):
        fold(model, ["m"])


def test_only_what_is_named_is_folded(residual: onnx.ModelProto, probes: Callable) -> None:
    assert fold(residual, []).model == residual
    proofs = prove_rewrites(
        residual,
        {"fold": fold(residual, ["scale"]).model},
        [Probe(picture) for picture in probes(residual)],
    )
    assert [(proof.nodes_before, proof.nodes_after) for proof in proofs] == [(11, 10)]
    assert proofs[0].equivalence.psnr_db > 120.0


@pytest.mark.slow
def test_every_dense_block_of_the_real_network_folds(
    anime_float_path: object, probe_patch: np.ndarray
) -> None:
    model = onnx.load(anime_float_path)
    scales = residual_scales(GraphIndex(model))
    assert len(scales) == 18
    assert {float(value) for scale in scales for value in scale.values} == {float(np.float32(0.2))}
    folded = fold(model, [scale.node.name for scale in scales])
    assert prove_equal(model, folded.model, [probe_patch]).psnr_db > 120.0
