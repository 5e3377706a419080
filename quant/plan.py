"""Define what a QDQ file is made from: quantized activations and weights, and what stays in float.

A plan is a value. It depends only on graph, table, target and options, survives JSON to the bit,
and holds everything that emission needs besides the float graph.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from calib.errors import GraphError, UsageError
from quant.numerics.affine import INTEGER_TYPES, IntegerType, covered_range
from quant.numerics.saturation_limits import SaturationLimits
from quant.targets import ComputePrecision, Equalization

GRAPH_OUTPUT = "<graph output>"


PLAN_SCHEMA = 7

Rounding = Literal["nearest", "gptq"]


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
        promoted: names of nodes to run in a higher precision, with the reason: in float, or in 16
            bits where the target or ``full_integer`` leaves no float.
    """

    percentile: float | None = None
    full_integer: bool = False
    head: ComputePrecision | None = None
    trunk: ComputePrecision | None = None
    tail: ComputePrecision | None = None
    accumulator_bits: int | None = None
    rounding: Rounding = "gptq"
    equalization: Equalization | None = None
    promoted: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no plan can honour.

        Raises:
            UsageError: a percentile outside (50, 100], accumulators other than of 16 or 32 bits,
                or a word that is none of an option's.
        """
        if self.percentile is not None and not 50.0 < self.percentile <= 100.0:
            raise UsageError(
                f"found percentile {self.percentile}; give a number above 50 and up to 100"
            )
        if self.accumulator_bits not in {None, 16, 32}:
            raise UsageError(f"found accumulator bits {self.accumulator_bits}; give 32 or 16")
        words = {"rounding": get_args(Rounding), "equalization": (None, *get_args(Equalization))}
        for name, known in words.items():
            found = getattr(self, name)
            if found not in known:
                offered = ", ".join(filter(None, known))
                raise UsageError(f"found {name} {found!r}; give one of {offered}")


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
            values that calibration saw lie within half a step of it.
    """

    tensor: str
    dtype: str
    scale: float
    zero_point: int
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
        return (self.dtype, self.scale, self.zero_point) == (
            other.dtype,
            other.scale,
            other.zero_point,
        )


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
    accumulator_bits: int
    bias: str | None

    @property
    def scale_array(self) -> npt.NDArray[np.float32]:
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

    dtype: str
    scale: float
    zero_point: int
    readers: tuple[str, ...]


@dataclass(frozen=True)
class RoundingRecord:
    """How weights were rounded to int8 values other than the nearest.

    Attributes:
        images: record of the images whose activations decided.
        digests: of int8 weight and bias, by weight initializer.
        nearest: weights rounded to the nearest value all the same, with the reason.
    """

    images: Mapping[str, Any]
    digests: Mapping[str, str]
    nearest: Mapping[str, str]


@dataclass(frozen=True)
class QuantPlan:
    """Everything that turns a float graph into the QDQ graph of one target.

    Attributes:
        target: name of the target profile.
        graph_digest: digest of the float graph.
        table_digest: digest of the calibration table.
        options: record of the options, defaults filled in.
        edges: QDQ pairs by name: the tensor's, with the precision behind it for a second pair.
        weights: by the name of the weight's initializer.
        constants: by the name of the constant.
        integer_concats: names of the Concats that concatenate int8 tensors
            (quant/planning/integer_concats.py).
        stored_half: names of weights of convolutions left in float that are stored as fp16.
        kept_float: node or tensor to the reason why it is not quantized.
        folded: names of the multiplications by a constant that the convolutions before them take
            up before anything else is done (quant/passes/fold.py).
        equalization: convolution output to what its channels are divided by then
            (quant/passes/equalize.py).
        proofs: how closely each rewritten float graph was found to compute what the one before
            does (quant/passes/driver.py).
        rounded: what GPTQ made of the weights, and on which images; ``None``
            before it, or with every weight rounded to the nearest value.
    """

    target: str
    graph_digest: str
    table_digest: str
    options: Mapping[str, Any]
    edges: Mapping[str, EdgeQuant]
    weights: Mapping[str, WeightQuant]
    constants: Mapping[str, ConstantQuant]
    stored_half: tuple[str, ...]
    kept_float: Mapping[str, str]
    integer_concats: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    equalization: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    proofs: tuple[Mapping[str, Any], ...] = ()
    rounded: RoundingRecord | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the plan as JSON-able values; ``from_record`` gives it back."""
        return {"schema": PLAN_SCHEMA, **asdict(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "QuantPlan":
        """Return the plan that ``to_record`` made a record of.

        Raises:
            GraphError: the record is of another schema or does not hold a plan.
        """
        if record.get("schema") != PLAN_SCHEMA:
            raise GraphError(
                f"found a plan of schema {record.get('schema')!r}, expected {PLAN_SCHEMA}; "
                "build again"
            )
        try:
            return cls(
                target=record["target"],
                graph_digest=record["graph_digest"],
                table_digest=record["table_digest"],
                options=dict(record["options"]),
                edges=_values(EdgeQuant, record["edges"]),
                weights=_values(WeightQuant, record["weights"]),
                constants=_values(ConstantQuant, record["constants"]),
                stored_half=tuple(record["stored_half"]),
                kept_float=dict(record["kept_float"]),
                integer_concats=tuple(record["integer_concats"]),
                folded=tuple(record["folded"]),
                equalization={k: tuple(v) for k, v in record["equalization"].items()},
                proofs=tuple(record["proofs"]),
                rounded=_rounding_record(record["rounded"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise GraphError(f"the record holds no quantization plan: {error}") from error

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


def _values(kind: type[Any], record: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return instances of a plan's dataclass; JSON's lists become tuples again."""
    return {
        name: kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
        for name, fields in record.items()
    }


def _rounding_record(record: Mapping[str, Any] | None) -> RoundingRecord | None:
    if record is None:
        return None
    return RoundingRecord(**{name: dict(entries) for name, entries in record.items()})
