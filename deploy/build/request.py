"""Define what a build is asked to do, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from calib.colours import GRAY, Channels
from calib.errors import UsageError
from calib.form import Form
from calib.output_kind import OutputKind
from calib.tile import Tile
from deploy.artifacts.build_options import BuildOptions, TargetOptions
from deploy.artifacts.network_record import ToldActivation
from deploy.artifacts.precision import PRECISIONS, ModelPrecision
from deploy.build.budget import Budget
from deploy.build.calibrate import CalibrationRequest
from deploy.build.execution import Execution
from quant.passes.lowering.catalogue import require_quantizable
from quant.plan import QuantOptions
from quant.planner import part_precisions
from quant.targets import TargetProfile, find_profile


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        model: name in the model table, or of one's own network.
        precision: the lowest one wanted; every higher one is built beside it.
        targets: target profiles of the int8 models.
        weights: the user's checkpoint, or ``None`` for the one that comes with the installation.
        onnx_file: the user's network as an ONNX file, in the place of weights.
        calibration: which images to calibrate on.
        execution: how and where the calibration images are run.
        quantization: how to quantize.
        budget: what the int8 models may lose, or ``None``.
        fp16_keep: names of nodes that the fp16 model is to compute in float32.
        out: the build goes to a folder in it.
        report: make ``report.html`` as well.
        own_name: what the network is called; ``None``: ``model``.
        verify_images: folder of pictures to compare on; ``None``: those held back from the user's
            calibration pictures, or else the embedded sample.
        tile: the fixed input that the network is built for.
        replace: build in the place of whatever build the folder holds.
        lowering: names of the rewrites of the float model that all models are made behind, in
            order (quant/passes/lowering/catalogue.py).
        activation: what stands behind the convolutions, where the weights do not say it.
        form: how the files take and give pictures.
    """

    model: str
    precision: ModelPrecision = "int8"
    targets: tuple[str, ...] = ("ort",)
    weights: Path | None = None
    onnx_file: Path | None = None
    calibration: CalibrationRequest = field(default_factory=CalibrationRequest)
    execution: Execution = field(default_factory=Execution)
    quantization: QuantOptions = field(default_factory=QuantOptions)
    budget: Budget | None = None
    fp16_keep: tuple[str, ...] = ()
    out: Path = Path("dist")
    report: bool = True
    own_name: str | None = None
    verify_images: Path | None = None
    tile: Tile = field(default_factory=Tile)
    replace: bool = False
    lowering: tuple[str, ...] = ()
    activation: ToldActivation | None = None
    form: Form = field(default_factory=Form)

    @property
    def name(self) -> str:
        """What the network is called."""
        return self.own_name or self.model

    @property
    def stem(self) -> str:
        """What the folder is called and its files begin with: the tile stands in it if unusual."""
        return self.tile.named(self.name)

    @property
    def folder(self) -> Path:
        """Where the build goes."""
        return self.out / self.stem

    def for_network(self, channels: Channels, output: OutputKind) -> "BuildRequest":
        """Return the same request for a network that takes so many channels.

        Args:
            channels: of the pictures that it takes.
            output: what it gives out.

        Raises:
            UsageError: an order is asked for of a single channel, or a form of pictures of a
                network that gives out none.
        """
        if output != "picture" and not self.form.usual:
            raise UsageError(
                f"found {self.form.options} for a network that gives out a {output}; forms are of "
                "pictures on both ends: leave it out"
            )
        if channels == GRAY and self.form.channel_order == "bgr":
            raise UsageError(
                "found --channel-order bgr for a network for gray pictures, of one channel; "
                "leave it out"
            )
        return replace(self, tile=replace(self.tile, channels=channels))

    def profiles(self) -> tuple[TargetProfile, ...]:
        """Return the target profiles of the int8 models.

        Raises:
            UsageError: there is no target of that name.
        """
        return tuple(map(find_profile, self.targets))

    def require_possible(self) -> None:
        """Refuse what a target cannot do, before anything heavy is loaded.

        Raises:
            UsageError: an option asks for what a target, or a scheduler, cannot do.
        """
        self.execution.require_possible()
        for profile in self.profiles():
            part_precisions(profile, self.quantization)
            if self.builds("int8"):
                full_integer = self.quantization.full_integer
                require_quantizable(self.lowering, profile, full_integer=full_integer)
            if self.budget is not None:
                profile.higher_precision(full_integer=self.quantization.full_integer)

    def builds(self, precision: ModelPrecision) -> bool:
        """Return whether models of that precision are asked for.

        >>> BuildRequest("x4plus", precision="fp16").builds("fp32")
        True
        >>> BuildRequest("x4plus", precision="fp16").builds("int8")
        False
        """
        return PRECISIONS.index(precision) <= PRECISIONS.index(self.precision)

    def choices(self, targets: Mapping[str, TargetOptions]) -> BuildOptions:
        """Return every choice that shapes the artifacts, for the manifest.

        Args:
            targets: how the int8 model of each was made.
        """
        return BuildOptions(self.precision, targets, self.fp16_keep, self.lowering)
