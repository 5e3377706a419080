"""Define target profiles: what a consumer of QDQ graphs needs, as data.

The planner and the emitter ask the profile and know no target by name. Sources of the rules: the
documents, sources and issues named beside each profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from calib.errors import UsageError
from calib.meant import meant
from quant.numerics.affine import INTEGER_TYPES, IntegerName, IntegerType
from quant.numerics.half import FloatType
from quant.numerics.saturation_limits import AccumulatorBits

ComputePrecision = Literal["float", "int16", "int8"]
Equalization = Literal["none", "growth", "all"]
Upsampling = Literal["resize", "convtranspose"]


@dataclass(frozen=True)
class TargetProfile:
    """What one consumer of QDQ graphs accepts and runs as integers.

    Attributes:
        name: as on the command line.
        summary: one line for people.
        choose: when it is the right one.
        integers: integer type of an activation by precision; a precision that is missing
            cannot be asked for. ``int8`` and ``int16`` name a width, not a sign.
        symmetric: activations have zero point 0.
        convolution: precision of the convolutions' activations.
        bias: ``int32`` with scale ``input scale * weight scale``, or left ``float``; where the
            target takes ``either`` it is left in float.
        convolution_output_pair: a convolution runs as integers only if its output is quantized.
        pair_before_activation: whether integer execution needs a QDQ pair between a Conv
            and its LeakyReLU, refuses it, or does without.
        residual_edges: which inputs of an integer Add carry QDQ; ``skip`` leaves the branch
            that comes from the convolutions alone, so that it can be fused into them.
        quantized_constants: constant operands of integer operators are quantized too.
        concat_shared_scale: a Concat whose inputs and output differ in scale is refused. Where
            it is not, ours share one all the same: see quant/planning/activation_scales.py.
        integer_concat: when a Concat may concatenate int8 tensors, which saves kernels in runtimes
            that execute every Q and DQ node (quant/planning/integer_concats.py): ``beside float``
            is not where every edge is quantized, since such a file goes to compilers that know
            operators by the pairs around them.
        zero_points_apart: the inputs of such a Concat may have zero points of their own.
        every_operator: nothing may stay in float, not even the network's ends.
        head: default precision of the convolutions that read the picture.
        trunk: default precision of the residual additions and their constant factors.
        tail: default precision of everything behind the first upsampling.
        half_storage: weights of convolutions left in float are stored as fp16 behind a Cast,
            which is folded away when the file is loaded; their rounding is far below the rest.
        minimum_range: smallest width of a quantized interval.
        equalization: default of which channels cross-layer equalization rescales (quant/plan.py).
            On the trunk it pays where that is read in 8 bits; in 16, weights only lose by it.
        float_gains_db: parity that a part left in float gains over 8 bits there, in dB, measured on
            x4plus-anime-6b (docs/results.md); the plan gives it as the reason.
        upsampling: how a nearest enlargement and the convolution behind it are written where that
            is in float (docs/decisions/0010-upsampling-in-phases.md).
        float_type: of everything that is not quantized. ``float16`` makes a strongly typed graph
            (docs/decisions/0017-strongly-typed-graphs.md): scales, biases and all between the casts
            at its ends, and scales are numbers that fp16 holds exactly.
        accumulator_bits: 16 where the target's kernels may add two products in 16 bits, which its
            weights are then kept from saturating (quant/numerics/saturation_limits.py).
    """

    name: str
    summary: str
    integers: tuple[tuple[ComputePrecision, IntegerName], ...]
    symmetric: bool
    convolution: ComputePrecision
    bias: Literal["int32", "float", "either"]
    convolution_output_pair: bool
    pair_before_activation: Literal["needed", "refused", "unneeded"]
    residual_edges: Literal["skip", "all"]
    quantized_constants: bool
    concat_shared_scale: bool
    integer_concat: Literal["never", "beside float", "always"]
    every_operator: bool
    head: ComputePrecision
    trunk: ComputePrecision
    tail: ComputePrecision
    zero_points_apart: bool = False
    half_storage: bool = False
    minimum_range: float = 0.0
    accumulator_bits: AccumulatorBits = 32
    choose: str = ""
    equalization: Equalization = "all"
    upsampling: Upsampling = "resize"
    float_type: FloatType = "float32"
    float_gains_db: Mapping[str, float] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[ComputePrecision, ...]:
        """The precisions that parts of the network can have on this target."""
        integers = tuple(precision for precision, _ in self.integers)
        return integers if self.every_operator else ("float", *integers)

    @property
    def quantized_slopes(self) -> bool:
        """Whether the slopes of a PReLU share one scale: they are operands like any other."""
        return self.quantized_constants and self.every_operator

    def higher_precision(self, *, full_integer: bool) -> ComputePrecision:
        """Return what a convolution is promoted to when 8 bits lose too much.

        Raises:
            UsageError: the target has nothing above its convolutions' own precision.
        """
        choices = self.precisions if not full_integer else tuple(p for p, _ in self.integers)
        for precision in ("float", "int16"):
            if precision in choices and precision != self.convolution:
                return precision
        raise UsageError(
            f"target {self.name} has no precision above {self.convolution} to promote a layer to; "
            "build without a budget, or without --full-integer"
        )

    def integer(self, precision: ComputePrecision) -> IntegerType:
        """Return the integer type of activations of that precision.

        Raises:
            UsageError: the target has no integers of that width, or ``precision`` is float.
        """
        for offered, name in self.integers:
            if offered == precision:
                return INTEGER_TYPES[name]
        raise UsageError(
            f"target {self.name} has no {precision} activations; "
            f"choose one of {', '.join(self.precisions)}"
        )


# onnxruntime's CPU kernels (core/optimizer/qdq_transformer/selectors_actions/qdq_selectors.cc,
# ConvNodeGroupSelector): QLinearConv needs DequantizeLinear on every input, an int32 bias, and
# one QuantizeLinear of the input's type as the only reader of the output. Without the QDQ
# pair before LeakyReLU, ConvActivationFusion turns the two into a float FusedConv.
ORT = TargetProfile(
    name="ort",
    summary="onnxruntime CPU: uint8 activations, integer convolutions, float residual trunk",
    choose="x86-64 and Arm CPUs through onnxruntime",
    integers=(("int8", "uint8"), ("int16", "uint16")),
    symmetric=False,
    convolution="int8",
    bias="int32",
    convolution_output_pair=True,
    pair_before_activation="needed",
    residual_edges="all",
    quantized_constants=True,
    concat_shared_scale=False,
    integer_concat="beside float",
    zero_points_apart=True,
    every_operator=False,
    head="float",
    trunk="float",
    tail="float",
    half_storage=True,
    accumulator_bits=16,
    float_gains_db={"head": 1.1, "trunk": 2.1, "tail": 1.5},
)

# Explicit quantization: zero points other than 0 are refused (TensorRT issues 2774, 4698), a
# QDQ pair between convolution and activation keeps them from fusing (2134), differing scales at a
# Concat cost a requantization (3861, 4366), and a bias carries no QDQ.
TENSORRT = TargetProfile(
    name="tensorrt",
    choose="NVIDIA GPUs with TensorRT 11, and 10 from 10.12 on",
    summary="TensorRT, strongly typed: symmetric int8 behind fp16 scales, all else in fp16",
    integers=(("int8", "int8"),),
    symmetric=True,
    convolution="int8",
    bias="float",
    convolution_output_pair=False,
    pair_before_activation="refused",
    residual_edges="skip",
    quantized_constants=False,
    concat_shared_scale=True,
    integer_concat="never",
    every_operator=False,
    head="float",
    trunk="float",
    tail="float",
    float_type="float16",
)

TENSORRT_10 = replace(
    TENSORRT,
    name="tensorrt-10",
    choose="NVIDIA GPUs with TensorRT 10.11 and older (JetPack 6); ncnn",
    summary="TensorRT up to 10, weakly typed: symmetric int8, float bias, fused activations",
    float_type="float32",
)

# OpenVINO's CPU plugin runs a convolution of u8 inputs as integers whatever follows it; with
# symmetric int8 activations it saturates on CPUs without VNNI: 27.6 dB on a small RRDB.
OPENVINO = TargetProfile(
    name="openvino",
    choose="Intel CPUs, GPUs and NPUs",
    summary="OpenVINO CPU: uint8 activations, fused activations, float bias and trunk",
    integers=(("int8", "uint8"),),
    symmetric=False,
    convolution="int8",
    bias="either",
    convolution_output_pair=False,
    pair_before_activation="unneeded",
    residual_edges="all",
    quantized_constants=False,
    concat_shared_scale=False,
    integer_concat="always",
    every_operator=False,
    head="float",
    trunk="float",
    tail="float",
    half_storage=True,
    upsampling="convtranspose",
    accumulator_bits=16,
)

# Qualcomm AI Engine Direct (HTP): every operator quantized in and out, int32 bias, no range
# narrower than 1e-4; fusing Conv and LeakyReLU into one group is for v73 and later only, so the
# QDQ pair stays, which all versions take.
QNN = TargetProfile(
    name="qnn",
    choose="Qualcomm HTP, the fast way; chips that compute in 8 bits alone",
    summary="Qualcomm QNN w8a8: uint8 on every activation, int32 bias",
    integers=(("int8", "uint8"), ("int16", "uint16")),
    symmetric=False,
    convolution="int8",
    bias="int32",
    convolution_output_pair=True,
    pair_before_activation="needed",
    residual_edges="all",
    quantized_constants=True,
    concat_shared_scale=False,
    integer_concat="never",
    every_operator=True,
    head="int8",
    trunk="int8",
    tail="int8",
    minimum_range=1e-4,
)

QNN_W8A16 = TargetProfile(
    name="qnn-w8a16",
    choose="Qualcomm HTP, where 8-bit activations (qnn) lose too much and time allows",
    summary="Qualcomm QNN w8a16: uint16 on every activation, int8 weights, int32 bias",
    integers=(("int16", "uint16"),),
    symmetric=False,
    convolution="int16",
    bias="int32",
    convolution_output_pair=True,
    pair_before_activation="needed",
    residual_edges="all",
    quantized_constants=True,
    concat_shared_scale=False,
    integer_concat="never",
    every_operator=True,
    head="int16",
    trunk="int16",
    tail="int16",
    minimum_range=1e-4,
    equalization="growth",
)

PROFILES = {
    profile.name: profile for profile in (ORT, TENSORRT, TENSORRT_10, OPENVINO, QNN, QNN_W8A16)
}


ALIASES = {"qualcomm": "qnn", "nvidia": "tensorrt", "intel": "openvino", "rockchip": "qnn"}
"""Profiles by the maker of the chip. Rockchip's NPUs compute what ``qnn`` says: 8 bits with zero
points on every activation."""


def find_profile(name: str) -> TargetProfile:
    """Return the profile of a target, by its name or the maker of the chip.

    Raises:
        UsageError: there is no target of that name.
    """
    try:
        return PROFILES[ALIASES.get(name.lower(), name)]
    except KeyError:
        raise UsageError(
            f"unknown target {name!r}; choose one of {', '.join(sorted(PROFILES))}, or a maker of "
            f"chips: {', '.join(sorted(ALIASES))}; ort is for CPUs, and 'esrdeploy targets' says "
            "which chip takes which"
            f"{meant(name, (*PROFILES, *ALIASES))}"
        ) from None
