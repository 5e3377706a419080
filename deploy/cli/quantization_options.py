"""Name the options of ``build`` that say how the models are quantized and written."""

from typing import Annotated, Literal

import typer

QUANTIZATION = "Quantization"
"""Their heading in ``--help``: a first build can do without them."""

PartPrecision = Literal["float", "int16", "int8"]
RoundingChoice = Literal["gptq", "nearest", "second-order"]
EqualizationChoice = Literal["none", "growth", "all"]
UpsamplingChoice = Literal["resize", "convtranspose"]
EffortChoice = Literal["normal", "high"]
DeviceChoice = Literal["auto", "cpu", "cuda"]

Percentile = Annotated[
    float | None,
    typer.Option(
        min=50.0,
        max=100.0,
        help="Force this two-sided percentile on every activation range, instead of choosing "
        "each range by least squared error.",
        rich_help_panel=QUANTIZATION,
    ),
]
FullInteger = Annotated[
    bool,
    typer.Option(
        "--full-integer",
        help="Quantize every activation, for chips that have nothing but integers.",
        rich_help_panel=QUANTIZATION,
    ),
]
Head = Annotated[
    PartPrecision | None,
    typer.Option(
        help="Precision of the convolution that reads the picture; 'esrdeploy targets' lists "
        "what each target allows.",
        show_default="the target's",
        rich_help_panel=QUANTIZATION,
    ),
]
Trunk = Annotated[
    PartPrecision | None,
    typer.Option(
        help="Precision of the residual additions, likewise.",
        show_default="the target's",
        rich_help_panel=QUANTIZATION,
    ),
]
Tail = Annotated[
    PartPrecision | None,
    typer.Option(
        help="Precision from the first upsampling on, likewise.",
        show_default="the target's",
        rich_help_panel=QUANTIZATION,
    ),
]
AccumulatorBitsChoice = Annotated[
    int | None,
    typer.Option(
        help="16: int8 weights that no processor saturates, CPUs without VNNI included; 32: a "
        "trifle more accurate where none does.",
        show_default="16 for ort and openvino, else 32",
        rich_help_panel=QUANTIZATION,
    ),
]
Rounding = Annotated[
    RoundingChoice,
    typer.Option(
        help="How weights become int8: gptq (GPTQ with bias correction, minutes more; also "
        "accepted as 'second-order'), or nearest, each to the nearest value.",
        rich_help_panel=QUANTIZATION,
    ),
]
Effort = Annotated[
    EffortChoice,
    typer.Option(
        help="high refines weights, scales and biases together against the float network, after "
        "GPTQ: minutes to an hour more on a CPU.",
        rich_help_panel=QUANTIZATION,
    ),
]
Device = Annotated[
    DeviceChoice,
    typer.Option(
        help="Where --effort high learns; auto takes a GPU where there is one. Only a CPU gives "
        "the same bytes each time.",
        rich_help_panel=QUANTIZATION,
    ),
]
Equalization = Annotated[
    EqualizationChoice | None,
    typer.Option(
        help="Channels that cross-layer equalization (CLE) rescales before quantizing: none, "
        "the growth channels of dense blocks, or all, the residual trunk's half way.",
        show_default="growth for qnn-w8a16, else all",
        rich_help_panel=QUANTIZATION,
    ),
]
Upsampling = Annotated[
    UpsamplingChoice | None,
    typer.Option(
        help="How nearest upsampling and the convolution behind it are written in the int8 "
        "model where both are in float: as they are, or as one ConvTranspose of fewer "
        "multiplications.",
        show_default="convtranspose for openvino, else resize",
        rich_help_panel=QUANTIZATION,
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        help="Promote the most sensitive layer groups to a higher precision until the "
        "estimated PSNR lost against a photograph (float's less int8's) is at most so many dB.",
        rich_help_panel=QUANTIZATION,
    ),
]
MinParity = Annotated[
    float | None,
    typer.Option(
        help="Likewise, until parity with the float model (PSNR in dB) is at least this.",
        rich_help_panel=QUANTIZATION,
    ),
]
AllowMostlyPromoted = Annotated[
    bool,
    typer.Option(
        "--allow-mostly-promoted",
        help="Let a budget promote more than half of what is computed in 8 bits without it "
        "(multiply-accumulates), instead of failing.",
        rich_help_panel=QUANTIZATION,
    ),
]
Fp16Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--fp16-keep",
        metavar="NODE",
        help="Leave this node of the fp16 model in float32; repeatable. Nodes around a value "
        "that overflows fp16 stay in float32 without being named.",
        rich_help_panel=QUANTIZATION,
    ),
]
Lower = Annotated[
    list[str] | None,
    typer.Option(
        "--lower",
        metavar="NAME[,NAME]",
        help="Write what the chip's compiler lacks as other operators, in every model: "
        "'esrdeploy targets' lists the names. Each is proven to keep the picture.",
        rich_help_panel=QUANTIZATION,
    ),
]
