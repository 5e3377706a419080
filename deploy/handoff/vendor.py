"""Define what a vendor of a handoff is, and what it gets to write from."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import onnx

from calib.archive import write_archive
from calib.arrays import AnyArray
from calib.colours import GRAY
from calib.digest import canonical_json
from calib.form import Form
from calib.images import Picture, in_channels, read_image
from calib.output_kind import OutputKind
from calib.table import CalibrationTable
from calib.tile import Tile
from deploy.artifacts.files import model_file_name, serialize
from deploy.artifacts.templates import text_environment
from deploy.build.quantize import QuantizedModel
from deploy.handoff.bundle_manifest import INPUT_KIND, GoldenVector, golden_path
from deploy.handoff.calibration_set import CalibrationSet
from deploy.runtime.runner import Runner
from quant.passes.forms.form import in_form
from quant.qdq.emit import emit_qdq
from quant.qdq.int8_convolutions import int8_convolutions, on_the_grid
from quant.rounding.recorded_codes import stored_weights

MODELS = "models"


@dataclass(frozen=True, eq=False)
class BundleContext:
    """Everything that a vendor can draw from, and the folder it writes to.

    Attributes:
        vendor: name of the vendor; its folder in the bundle has this name.
        root: of the bundle that is being made.
        model: what the names of its files begin with.
        scale: output pixels per input pixel along one side.
        tile: the network's fixed input.
        form: how the files of the bundle take and give pictures.
        output_shape: N, C, H and W of the network's output, in the usual form.
        output_kind: what that is.
        float_model: the network, in the usual form.
        table: its calibration table.
        calibration: the pictures behind the table.
        golden: the golden vectors, whose files lie below ``root``.
        int8: the int8 models that the vendor asked for, by profile; in the usual form.
        grid: from a profile to the int8 model whose weights a float file for other quantizers
            takes over, likewise.
    """

    vendor: str
    root: Path
    model: str
    scale: int
    tile: Tile
    form: Form
    output_shape: tuple[int, int, int, int]
    output_kind: OutputKind
    float_model: onnx.ModelProto
    table: CalibrationTable
    calibration: CalibrationSet
    golden: tuple[GoldenVector, ...]
    int8: Mapping[str, QuantizedModel]
    grid: Callable[[str], QuantizedModel]

    @property
    def folder(self) -> Path:
        """The vendor's folder."""
        return self.root / self.vendor

    def path(self, name: str) -> Path:
        """Return where the vendor's file ``name`` goes; its folder is made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file into the vendor's folder; text gets Unix line ends."""
        raw = content.encode("utf-8") if isinstance(content, str) else content
        self.path(name).write_bytes(raw)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file into the vendor's folder."""
        self.write(name, canonical_json(value))

    def write_npz(self, name: str, arrays: Mapping[str, AnyArray]) -> None:
        """Write arrays as ``.npz`` into the vendor's folder, the same bytes every time."""
        write_archive(self.path(name), arrays, compress=False)

    def write_script(self, name: str) -> None:
        """Copy a script of deploy/handoff/standalone, and what it reads by, into the folder."""
        for file in (name, "array_files.py"):
            copy_standalone(file, self.path(file))

    def render(self, template: str, **context: object) -> str:
        """Fill a template in with what is known of the bundle, and with ``context``."""
        known = {
            "model": self.model,
            "scale": self.scale,
            "tile": self.tile,
            "form": self.form,
            "gray": self.tile.channels == GRAY,
            "enlarges": self.output_kind == "picture",
            "input_type": "uint8" if self.form.values == "uint8" else "float32",
            "input_shape": list(self.form.shape(self.tile.shape)),
            "output_shape": list(self.form.shape(self.output_shape)),
            "golden": self.golden,
            "calibration": self.calibration,
        }
        return text_environment("deploy.handoff").from_string(template).render(**known, **context)

    def picture(self, vector: GoldenVector) -> Picture:
        """Return a golden vector's picture, uint8 [H, W, 3] RGB."""
        return read_image(self.root / "golden" / "picture" / f"{vector.name}.png")

    def seen(self, vector: GoldenVector) -> Picture:
        """Return what the network sees of a golden vector's picture, uint8 [H, W, C]."""
        return in_channels(self.picture(vector), self.tile.channels)[..., : self.tile.channels]

    def network_input(self, vector: GoldenVector) -> AnyArray:
        """Return a golden vector's input in the form of the bundle's files."""
        found: AnyArray = np.load(self.root / golden_path(INPUT_KIND, vector.name))
        return found

    def written(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Return a model of the bundle as its file is written."""
        return in_form(model, self.form)

    @property
    def float_path(self) -> str:
        """Path of the float ONNX from the vendor's folder."""
        return f"../{MODELS}/{model_file_name(self.model, 'fp32')}"

    def int8_path(self, profile: str) -> str:
        """Path of an int8 ONNX from the vendor's folder."""
        return f"../{MODELS}/{model_file_name(self.model, 'int8', profile)}"

    def paired_path(self, profile: str) -> str:
        """Return the path, from the vendor's folder, of an int8 ONNX without integer Concats.

        This is the int8 model for tools that know an operator by the QDQ pairs around it: the
        same int8 weights and scales, with a QDQ pair on either side of every Concat
        (quant/planning/integer_concats.py). The file is written if the profile's own does
        otherwise. Concats of zero points apart have no such form: it is for profiles without.
        """
        int8 = self.int8[profile]
        if not int8.plan.integer_concats:
            return self.int8_path(profile)
        weights = stored_weights(int8.prepared, int8.model)
        paired = emit_qdq(int8.prepared.under(replace(int8.plan, integer_concats=())), weights)
        name = f"{self.model}-int8-{profile}-paired.onnx"
        self.write(name, serialize(self.written(paired)))
        return name

    def equalized(self, profile: str) -> onnx.ModelProto:
        """Return the float graph whose tensors and weights a profile's plan quantizes.

        It computes what the float model computes, after cross-layer equalization.
        """
        return self.int8[profile].prepared.model

    def quantizable_path(self, profile: str) -> str:
        """Return the path, from the vendor's folder, of a float ONNX that quantizes well anywhere.

        It is equalized, the weights of its convolutions lie on the grid of a profile's int8
        weights, and its biases are corrected for it: whoever rounds per channel to nearest gets
        weights back that GPTQ has chosen. For tools that quantize by themselves.
        """
        name = quantizable_file_name(self.model, profile)
        path = self.root / MODELS / name
        if not path.exists():
            grid = self.grid(profile)
            model = on_the_grid(grid.prepared.model, int8_convolutions(grid.model))
            path.write_bytes(serialize(self.written(model)))
        return f"../{MODELS}/{name}"

    def recovered_channels(self, profile: str) -> tuple[int, int]:
        """Return how many channels of that file come back code for code, and of how many."""
        found = int8_convolutions(self.grid(profile).model).values()
        return sum(one.recovered_channels for one in found), sum(len(one.codes) for one in found)


def quantizable_file_name(model: str, profile: str) -> str:
    """Return the name of a float ONNX whose weights lie on a profile's grid.

    >>> quantizable_file_name("x4plus", "ort")
    'x4plus-fp32-ort-grid.onnx'
    """
    return f"{model}-fp32-{profile}-grid.onnx"


@dataclass(frozen=True)
class Engine:
    """A vendor's own engine that can run here what the bundle holds.

    Attributes:
        name: what is run, for people.
        package: to import; where it is missing the engine is not run.
        extra: of esrdeploy, that brings the package.
        kind: golden arrays that it has to reproduce, such as ``float``.
        required_db: parity with them that a golden vector must reach, in dB.
        load: from the bundle's root, the name of the network and the form in which its files take
            and give pictures, to what the engine computes.
    """

    name: str
    package: str
    extra: str
    kind: str
    required_db: Callable[[GoldenVector], float]
    load: Callable[[Path, str, Form], Runner]


@dataclass(frozen=True)
class Vendor:
    """One vendor.

    Attributes:
        name: on the command line, and of the folder in the bundle.
        summary: one line for people.
        profiles: int8 models that it can take. A bundle has those that the build has or that
            were asked for, else the first. Without any, the build's own stands for ours.
        write: writes the vendor's folder.
        quantizes_itself: the vendor's tools choose their own scales, so a result is held against
            a floor and not against ours.
        engines: of the vendor, that can run here.
        aliases: other names for it on the command line, such as the maker's.
        takes_lowered: its folder can be written of a build whose operators were written as others.
        takes_form: its folder can be written of a build of any form of pictures; others' tools
            bring pictures into the usual one by themselves.
        takes_batch: its tools take a model of several pictures at once; others make the batch
            themselves.
        takes_gray: its tools take a network of one channel, or are known to.
        takes_map: its folder says nothing of enlarged pictures, and can be written of a network
            that gives out a map.
    """

    name: str
    summary: str
    profiles: tuple[str, ...]
    write: Callable[[BundleContext], None]
    quantizes_itself: bool = False
    engines: tuple[Engine, ...] = ()
    aliases: tuple[str, ...] = ()
    takes_batch: bool = True
    takes_lowered: bool = True
    takes_form: bool = False
    takes_gray: bool = True
    takes_map: bool = False


def copy_standalone(name: str, path: Path) -> None:
    """Copy a file that runs without esrdeploy out of deploy/handoff/standalone."""
    source = resources.files("deploy.handoff") / "standalone" / name
    with resources.as_file(source) as file:
        shutil.copyfile(file, path)
