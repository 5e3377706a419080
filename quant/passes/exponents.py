"""Say how far equalization goes: the exponents a of factors f = t^a (quant/passes/equalize.py).

With 1, channels become alike; with 0 they stay as they are. What activations gain by becoming
alike, the weights that read them lose.
"""

from collections.abc import Sequence

TRUNK_EXPONENT = 0.5
"""For a residual trunk that is added up in float: parity in dB for ort on nine DIV2K pictures of
x4plus-anime-6b, weights rounded by GPTQ, 39.51 with 0, 39.78 with 1/2, 39.63 with 1; on three of
x4plus, with residual scales folded, 39.24, 39.42 and 39.18."""

CHAIN_EXPONENT = 0.75
"""For a network without a trunk, whose channels compare by their largest values, or by steps of
their own. Parity in dB on the embedded sample with 1 and 3/4: general-x4v3 40.96 and 41.58 for ort,
41.31 and 41.96 for tensorrt; animevideov3 45.14 and 46.14 for ort."""

_ROUNDED_TRUNK_EXPONENT, _LONG_ROUNDED_TRUNK_EXPONENT = 0.75, 0.6
# A long trunk has more tensors than this.
_LONG_TRUNK = 64


def rounded_trunk_exponent(trunks: Sequence[Sequence[str]]) -> float:
    """Return the exponent of the factors of a graph's trunks where their additions are rounded.

    Parity in dB with --full-integer: of x4plus, whose trunk has 101 tensors, on three DIV2K pairs,
    and of x4plus-anime-6b, whose trunk has 46, on 18:

        exponent           0.4     0.5     0.6     0.65    0.7     0.75    0.85    0.9
        x4plus             37.36   37.45   37.42   37.43   36.88   37.02           36.82
        x4plus-anime-6b            38.17   38.50   38.30   38.46   38.63   38.52

    Learned, on 18 pairs, x4plus has 38.02 with 0.6 and 37.91 with 0.75.

    Args:
        trunks: the tensors of each trunk.
    """
    longest = max(map(len, trunks), default=0)
    return _LONG_ROUNDED_TRUNK_EXPONENT if longest > _LONG_TRUNK else _ROUNDED_TRUNK_EXPONENT
