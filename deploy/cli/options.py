"""Define the options that several commands share."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperArgument, TyperOption

from calib.errors import UsageError
from deploy.artifacts.precision import PRECISIONS, ModelPrecision
from deploy.cli import completion

if TYPE_CHECKING:
    from calib.degradation.parameters import DegradationParameters


class PrecisionChoice(str, Enum):
    """What ``--precision`` takes, in the order of :data:`deploy.artifacts.precision.PRECISIONS`."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


ModeName = Literal["whole", "crop", "both"]
ActivationChoice = Literal["relu", "leaky_relu"]
CALIBRATION = "Calibration"
"""A heading in ``--help``, for what a first build can do without."""

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")
]
Builds = Annotated[Path, typer.Option(help="Folder of the builds.")]
BuiltModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="A model that was built: its folder's name in --builds, or its path; repeatable. "
        "Default: all.",
    ),
]
BuiltTargets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="Target profile of the int8 files to take; repeatable. Default: all.",
        autocompletion=completion.targets,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Model name, as 'esrdeploy models' lists it or as its authors call it "
        "(RealESRGAN_x4plus); with --weights a name of your own.",
        show_default="with --weights, what they are by their digest, or their file name",
        autocompletion=completion.models,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint to build from: .pth, .safetensors, or either file of an ncnn pair. "
        "Default: the weights that come with the installation."
    ),
]
OnnxFile = Annotated[
    Path | None,
    typer.Option(
        "--onnx",
        metavar="FILE",
        help="Network to build from, as an ONNX file in the place of weights: one picture in "
        "[0, 1] in, RGB or gray, the enlarged one out; float32 or float16, sides fixed or dynamic.",
    ),
]
Activation = Annotated[
    ActivationChoice | None,
    typer.Option(
        help="What stands behind the convolutions of an SRVGGNetCompact without PReLU slopes: no "
        "tensor of a checkpoint says it.",
        show_default="relu",
    ),
]
Calib = Annotated[
    str | None,
    typer.Option(
        help="Folder of calibration images (DIV2K layout or any), or 'sample' for the embedded "
        "photographs. One in five of a folder (of a dozen or more 4 to 8) is held back to verify "
        "on; of a DIV2K layout 8 pictures of its evaluation pairs.",
        show_default="sample",
    ),
]
CalibCount = Annotated[int, typer.Option(min=1, help="How many images to calibrate on.")]
Mode = Annotated[
    ModeName,
    typer.Option(
        help="What of each image to calibrate on. whole: all of it, resized to --size, which makes "
        "it sharper; crop: a piece of that size as it is, as tiles of an enlarged picture are; "
        "both: whole images and pieces by turns. whole was measured best, for tiles too.",
        rich_help_panel=CALIBRATION,
    ),
]
SizeText = Annotated[
    str,
    typer.Option(
        "--size",
        metavar="SIDE|HEIGHTxWIDTH",
        help="Fixed input of the network in pixels: 256 is 256x256, 180x320 is 180 rows of 320. "
        "Larger pictures are enlarged in tiles of this size.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Output folder; files go to OUT/NAME (and --size).")
]
Name = Annotated[
    str | None,
    typer.Option(
        help="What your network is called: files go to OUT/NAME and begin with it.",
        show_default="the model's",
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Build in the place of what the folder holds. Without it a build of the same weights "
        "and calibration gets what is asked for, and any other is refused.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        help="Go on from an interrupted calibration of the same job.", rich_help_panel=CALIBRATION
    ),
]


Degrade = Annotated[
    bool,
    typer.Option(
        "--degrade",
        help="--calib holds high-resolution photographs: calibrate, and verify, on what "
        "Real-ESRGAN's training makes of them (blur, resize, noise and JPEG, twice).",
        rich_help_panel=CALIBRATION,
    ),
]
DegradationFile = Annotated[
    Path | None,
    typer.Option(
        "--degradation",
        metavar="FILE",
        help="Parameters of the degradation, JSON; implies --degrade.",
        show_default="those that x4plus was trained with",
        rich_help_panel=CALIBRATION,
    ),
]
CalibTable = Annotated[
    Path | None,
    typer.Option(
        help="A finished calibration.json of the same network, at whatever --size it was taken, "
        "instead of any images.",
        rich_help_panel=CALIBRATION,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        help="Calibrate on this many worker processes of this machine.",
        rich_help_panel=CALIBRATION,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Calibrate on the Dask cluster of this scheduler, tcp://HOST:PORT.",
        rich_help_panel=CALIBRATION,
    ),
]


def lowest(choices: Sequence[PrecisionChoice]) -> ModelPrecision:
    """Return the lowest of the precisions asked for."""
    return PRECISIONS[max(list(PrecisionChoice).index(choice) for choice in choices)]


def calibration_folder(calib: str | None, table: Path | None = None) -> Path | None:
    """Return the folder that ``--calib`` names, or ``None`` for the embedded sample.

    Args:
        calib: what ``--calib`` was given.
        table: what ``--calib-table`` was given, where there is such an option.

    Raises:
        UsageError: there is no such folder, or a table is given beside it.
    """
    if calib is not None and table is not None:
        raise UsageError(
            "found --calib beside --calib-table, whose pictures were seen already; give one of them"
        )
    if calib is None or calib == "sample":
        return None
    folder = Path(calib)
    if not folder.is_dir():
        raise UsageError(f"--calib {calib}: found no such folder; give a folder of images")
    return folder


def calibration_degradation(
    folder: Path | None, file: Path | None, *, degrade: bool
) -> "DegradationParameters | None":
    """Return what to degrade the photographs of ``--calib`` by; ``None``: nothing.

    Args:
        folder: that ``--calib`` names; ``None`` for the embedded sample or a finished table.
        file: what ``--degradation`` was given.
        degrade: whether ``--degrade`` was.

    Raises:
        UsageError: there are no photographs to degrade, or the file holds no parameters.
    """
    from calib.degradation.parameters import DegradationParameters, read_parameters

    if not degrade and file is None:
        return None
    if folder is None:
        raise UsageError(
            "found --degrade without photographs; name a folder of high-resolution ones with "
            "--calib DIR"
        )
    return DegradationParameters() if file is None else read_parameters(file)


def given(context: typer.Context) -> dict[str, TyperOption | TyperArgument]:
    """Return the options and arguments that stand on the command line, by their names in Python."""
    found = {}
    for option in context.command.params:
        if isinstance(option, TyperOption | TyperArgument) and option.name is not None:
            source = context.get_parameter_source(option.name)
            if source is not None and source.name == "COMMANDLINE":
                found[option.name] = option
    return found
