"""Name the options of ``build`` that say in which form the files take and give pictures."""

from typing import Annotated, Literal

import typer

FORM = "Form of the picture"
"""Their heading in ``--help``."""

Input = Annotated[
    Literal["float", "uint8"],
    typer.Option(
        "--input",
        help="float: a picture in [0, 1]; uint8: bytes 0 to 255, which every file divides by 255 "
        "itself.",
        rich_help_panel=FORM,
    ),
]
LayoutChoice = Annotated[
    Literal["nchw", "nhwc"],
    typer.Option(
        "--layout",
        help="Of input and output: nchw, [N, 3, H, W], or nhwc, [N, H, W, 3].",
        rich_help_panel=FORM,
    ),
]
ChannelOrderChoice = Annotated[
    Literal["rgb", "bgr"],
    typer.Option(
        "--channel-order",
        help="Of input and output: rgb, or bgr as OpenCV has it, by the order of the weights.",
        rich_help_panel=FORM,
    ),
]
