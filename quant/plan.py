"""Define what a QDQ file is made from: quantized activations and weights, and what stays in float.

A plan is a value. It depends only on graph, table, target and options, survives JSON to the bit,
and holds everything that emission needs besides the float graph.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from calib.arrays import Float32
from calib.errors import GraphError, UsageError
from calib.records import Integer64, Percentile, Sha256, decode, encode
from quant.evidence import ProofRecord, RefinementRecord, RoundingRecord
from quant.numerics.affine import INTEGER_TYPES, IntegerName, IntegerType, covered_range
from quant.numerics.half import FloatType
from quant.numerics.saturation_limits import AccumulatorBits, SaturationLimits
from quant.targets import ComputePrecision, Equalization, Upsampling

GRAPH_OUTPUT = "<graph output>"


PLAN_SCHEMA: Literal[14] = 14

Rounding = Literal["nearest", "gptq"]
Effort = Literal["normal", "high"]


@dataclass(frozen=True)
class QuantOptions:
    """What the user may ask of a plan.

    Attributes:
        percentile: one two-sided percentile for every range; ``None`` lets each edge have the
            range of least squared error.
        full_integer: quantize every edge the target's rules allow, for chips without float.
        head: precision of the convolutions that see the picture; ``None``: the target's default.
        trunk: precision of the residual additions, likewise.
        tail: precision from the first upsampling on, likewise.
        accumulator_bits: 32, or 16 for weights that do not saturate where a processor adds the
            products of two neighbours in 16 bits (quant/numerics/saturation_limits.py); ``None``:
            the target's default.
        rounding: weights to the nearest int8 value, or by GPTQ with bias correction to those that
            least disturb the convolution's output (quant/rounding/round_weights.py).
        equalization: which channels cross-layer equalization rescales: none; those that one
            convolution makes (the growth channels of dense blocks, the tail's); or all, the
            residual trunk's half way; ``None``: the target's default.
        upsampling: how an enlargement and the convolution behind it are written where both are in
            float: as they are, or as one transposed convolution; ``None``: the target's default.
        effort: ``high`` refines what GPTQ chose, and the scales, together against the float network
            (quant/refinement).
        promoted: names of nodes to run in a higher precision, with the reason: in float, or in 16
            bits where the target or ``full_integer`` leaves no float.
    """

    percentile: Percentile | None = None
    full_integer: bool = False
    head: ComputePrecision | None = None
    trunk: ComputePrecision | None = None
    tail: ComputePrecision | None = None
    accumulator_bits: AccumulatorBits | None = None
    rounding: Rounding = "gptq"
    equalization: Equalization | None = None
    upsampling: Upsampling | None = None
    effort: Effort = "normal"
    promoted: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no plan can honour.

        Raises:
            UsageError: a percentile outside (50, 100], accumulators other than of 16 or 32 bits,
                a word that is none of an option's, or a refinement of what GPTQ did not choose.
        """
        if self.percentile is not None and not 50.0 < self.percentile <= 100.0:
            raise UsageError(
                f"found percentile {self.percentile}; give a number above 50 and up to 100"
            )
        if self.accumulator_bits not in {None, 16, 32}:
            raise UsageError(f"found accumulator bits {self.accumulator_bits}; give 32 or 16")
        words = {
            "rounding": get_args(Rounding),
            "equalization": (None, *get_args(Equalization)),
            "upsampling": (None, *get_args(Upsampling)),
            "effort": get_args(Effort),
        }
        for name, known in words.items():
            found = getattr(self, name)
            if found not in known:
                offered = ", ".join(filter(None, known))
                raise UsageError(f"found {name} {found!r}; give one of {offered}")
        if self.effort == "high" and self.rounding != "gptq":
            raise UsageError(
                "found effort high, which refines what GPTQ chose; leave out --rounding"
            )


@dataclass(frozen=True)
class EdgeQuant:
    """A QDQ pair (QuantizeLinear, DequantizeLinear) on a tensor.

    Attributes:
        tensor: name of the float tensor.
        dtype: integer type of the quantized values.
        scale: step, a float32 value.
        zero_point: quantized value of 0.
        low: lower end of the range asked for.
        high: upper end of the range asked for.
        rule: how the range was found.
        readers: nodes that read the dequantized value; ``<graph output>`` for the graph.
        after: the edge whose dequantized value is quantized, or ``None``: the tensor itself.
        percentile: what the range amounts to, however it was found: how many percent of the
            values that calibration saw it does not clip (quant/analysis/activation_slopes.py).
    """

    tensor: str
    dtype: IntegerName
    scale: float
    zero_point: Integer64
    low: float
    high: float
    rule: str
    readers: tuple[str, ...]
    after: str | None
    percentile: float

    @property
    def integer(self) -> IntegerType:
        """The integer type of the quantized values."""
        return INTEGER_TYPES[self.dtype]

    @property
    def covered(self) -> tuple[float, float]:
        """Smallest and largest real value that is not clipped."""
        return covered_range(self.scale, self.zero_point, self.integer)

    def same_grid(self, other: "EdgeQuant") -> bool:
        """Tell whether both quantize the same values to the same integers."""
        return self.same_scale(other) and self.zero_point == other.zero_point

    def same_scale(self, other: "EdgeQuant") -> bool:
        """Tell whether a step from one integer to the next is the same in both."""
        return (self.dtype, self.scale) == (other.dtype, other.scale)


@dataclass(frozen=True)
class WeightQuant:
    """A convolution's weight as int8, one scale per output channel, zero point 0.

    Attributes:
        node: the convolution.
        scales: a float32 value per output channel.
        accumulator_bits: 32, or 16: what the int8 weights are fit for
            (quant/numerics/saturation_limits.py).
        bias: name of the bias to be stored as int32, or ``None``.
    """

    node: str
    scales: tuple[float, ...]
    accumulator_bits: AccumulatorBits
    bias: str | None

    @property
    def scale_array(self) -> Float32:
        """The scales as float32 ``[O]``."""
        return np.array(self.scales, np.float32)

    @property
    def limits(self) -> SaturationLimits:
        """Which int8 values the weight may have."""
        return SaturationLimits(self.accumulator_bits)


@dataclass(frozen=True)
class ConstantQuant:
    """A constant operand other than a convolution's weight, quantized per tensor.

    Attributes:
        dtype: integer type of the quantized values.
        scale: step, a float32 value.
        zero_point: quantized value of 0.
        readers: nodes that read the dequantized value.
    """

    dtype: IntegerName
    scale: float
    zero_point: Integer64
    readers: tuple[str, ...]


@dataclass(frozen=True)
class QuantPlan:
    """Everything that turns a float graph into the QDQ graph of one target.

    Attributes:
        target: name of the target profile.
        network_digest: of the float graph (:func:`calib.graph.network_digest`), the same at any
            input size.
        table_digest: digest of the calibration table.
        options: what was asked for, defaults filled in.
        edges: QDQ pairs by name: the tensor's, with the precision behind it for a second pair.
        weights: by the name of the weight's initializer.
        constants: by the name of the constant.
        integer_concats: names of the Concats that concatenate int8 tensors
            (quant/planning/integer_concats.py).
        zero_points_apart: names of the Concats whose inputs have zero points of their own. What
            such a one gives out is not rounded again: its edge says the scale, and the zero point
            that its readers are told.
        stored_half: names of weights of convolutions left in float that are stored as fp16.
        kept_float: node or tensor to the reason why it is not quantized.
        folded: names of the multiplications by a constant, and of the additions of what they read
            themselves, that convolutions take up before anything else is done
            (quant/passes/fold.py).
        equalization: convolution output to what its channels are divided by then
            (quant/passes/equalize.py); negative for those turned round (quant/passes/reversal.py).
        transposed: names of the Resize nodes that are one ConvTranspose with the convolution behind
            them (quant/passes/lowering/resize_deconvolution.py), after all else is done.
        float_type: type of all that is not quantized, between the graph's ends.
        proofs: how closely each rewritten float graph was found to compute what the one before
            does (quant/passes/driver.py).
        rounded: what GPTQ made of the weights, and on which images; ``None``
            before it, or with every weight rounded to the nearest value.
        refined: what was learned beyond that, where it was asked for; the scales of edges and
            weights are those that were learned.
        schema: version of the format.
    """

    target: str
    network_digest: Sha256
    table_digest: Sha256
    options: QuantOptions
    edges: Mapping[str, EdgeQuant]
    weights: Mapping[str, WeightQuant]
    constants: Mapping[str, ConstantQuant]
    stored_half: tuple[str, ...]
    kept_float: Mapping[str, str]
    integer_concats: tuple[str, ...] = ()
    zero_points_apart: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    equalization: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    transposed: tuple[str, ...] = ()
    float_type: FloatType = "float32"
    proofs: tuple[ProofRecord, ...] = ()
    rounded: RoundingRecord | None = None
    refined: RefinementRecord | None = None
    schema: Literal[14] = PLAN_SCHEMA

    def to_record(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return asdict(self)

    def content(self) -> bytes:
        """Return the bytes of the plan's file; :meth:`parse` gives the plan back."""
        return encode(self)

    @classmethod
    def parse(cls, content: bytes, source: str) -> "QuantPlan":
        """Return the plan that a file holds.

        Raises:
            GraphError: it is of another schema or holds no plan; ``source`` names it.
        """
        return decode(content, cls, source, GraphError, "build again")

    def edge_read_by(self, tensor: str, reader: str) -> str | None:
        """Return the name of the edge through which ``reader`` reads ``tensor``, if any."""
        return self._by_reader.get((tensor, reader))

    @property
    def uses_16_bits(self) -> bool:
        """Tell whether any activation or constant has a 16-bit type."""
        dtypes = {e.dtype for e in self.edges.values()} | {c.dtype for c in self.constants.values()}
        return not dtypes.isdisjoint({"int16", "uint16"})

    @cached_property
    def _by_reader(self) -> dict[tuple[str, str], str]:
        return {
            (edge.tensor, reader): name
            for name, edge in self.edges.items()
            for reader in edge.readers
        }
