"""What the tests of this folder share: builds, small networks in every file form, bundles."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from skimage import data

from calib.images import write_image
from calib.sample import sample_patches
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff import make
from deploy.handoff.bundle_zip import opened
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.outcome import HandoffOutcome
from deploy.network.architecture import (
    LEAKY_SLOPE,
    SRVGG,
    SRVGG_LEAKY_SLOPE,
    Architecture,
    RRDBNet,
    tensor_shapes,
)
from deploy.pipeline import build_model
from deploy.progress import Silent
from deploy.upscale import load
from quant.plan import QuantOptions
from tests.deploy.builds import copied, run

Array = NDArray[np.float32]

FLOAT16_FLAG = (0x01306B47).to_bytes(4, "little")
FLOAT32_FLAG = bytes(4)
HANDOFF_TARGETS = ("ncnn", "openvino", "qnn", "rknn", "tensorrt", "vacc")
HANDOFF_PROFILES = ("qnn", "qnn-w8a16", "tensorrt", "tensorrt-10")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """A cache folder of this run alone: no model of another run is found, none is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "kept_folder", lambda: folder)
        patch.setattr(load, "kept_folder", lambda: folder.with_name("compiled"))
        folder = tmp_path_factory.mktemp("cache") / "int8"
        yield folder


@pytest.fixture(scope="session", autouse=True)
def pictures_encoded_once(encoded_once: None) -> None:
    """Encode the pictures of all reports once."""


@pytest.fixture(scope="session")
def random_tensors():
    """A function from architecture to a float32 state dict of usual magnitude.

    A gain of 2 is what a ReLU halves; with 1, activations of a residual network keep their size.
    """

    def make(architecture: Architecture, seed: int = 0, *, gain: float = 2.0) -> dict[str, Array]:
        rng = np.random.default_rng(seed)
        tensors = {}
        for name, shape in tensor_shapes(architecture).items():
            spread = (gain / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.05
            tensors[name] = (rng.standard_normal(shape) * spread).astype(np.float32)
        return tensors

    return make


@pytest.fixture(scope="session")
def built(tiny_weights: Path, made_once: Callable[..., Path]) -> Path:
    """A whole build of a tiny network, as a user makes it."""

    def build(out: Path) -> None:
        arguments = ["build", "--model", "tiny", "--weights", str(tiny_weights)]
        result = run(*arguments, "--calib-count", 4, "--out", out)
        assert result.exit_code == 0, result.output

    return made_once("dist", build) / "tiny"


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of that build, for a test to spoil."""
    return copied(built, tmp_path / "tiny")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one picture to compare on, where a test is about other checks."""
    folder = tmp_path_factory.mktemp("picture")
    (patch,) = sample_patches("verification", 1).patches
    write_image(folder / "one.png", patch.load())
    return folder


@pytest.fixture(scope="session")
def photo() -> Array:
    """A 128x128 piece of a photograph as network input, float32 [1, 3, 128, 128]."""
    patch = data.astronaut()[40:168, 150:278].astype(np.float32) / 255
    return np.ascontiguousarray(patch.transpose(2, 0, 1)[np.newaxis])


@pytest.fixture(scope="session")
def ncnn_pair():
    """A function from architecture and tensors to the text and the bytes of an ncnn pair."""

    def make(
        architecture: Architecture,
        tensors: Mapping[str, Array],
        *,
        half: bool = True,
        plain: bool = False,
        clip: bool = False,
    ) -> tuple[str, bytes]:
        writer = _NcnnWriter(tensors, half=half, plain=plain, clip=clip)
        match architecture:
            case RRDBNet():
                writer.rrdbnet(architecture)
            case SRVGG():
                writer.srvgg(architecture)
        return writer.text(), bytes(writer.content)

    return make


@dataclass
class _NcnnWriter:
    """Writes what ncnn's converters write: ``plain`` before, else after ncnnoptimize.

    With ``clip`` the picture is clipped to [0, 1] at the end, as many converted networks do it.
    """

    tensors: Mapping[str, Array]
    half: bool
    plain: bool
    clip: bool
    layers: list[tuple[str, list[str], str, str]] = field(
        default_factory=lambda: [("Input", [], "data", "")]
    )
    content: bytearray = field(default_factory=bytearray)

    def text(self) -> str:
        """Return the .param; a blob that several layers read goes through a Split."""
        readers = Counter(blob for _, inputs, _, _ in self.layers for blob in inputs)
        copies = {blob: iter(range(count)) for blob, count in readers.items() if count > 1}
        lines, blobs = [], 0
        for index, (kind, inputs, output, options) in enumerate(self.layers):
            reads = [f"{b}_{next(copies[b])}" if b in copies else b for b in inputs]
            words = [kind, f"{kind}_{index}", str(len(reads)), "1", *reads, output, options]
            lines.append(" ".join(words).rstrip())
            blobs += 1
            if output in copies:
                parts = [f"{output}_{copy}" for copy in range(readers[output])]
                lines.append(f"Split split_{index} 1 {len(parts)} {output} {' '.join(parts)}")
                blobs += len(parts)
        return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n"

    def layer(self, kind: str, inputs: list[str], options: str = "") -> str:
        output = f"b{len(self.layers)}"
        self.layers.append((kind, [*inputs], output, options))
        return output

    def conv(self, blob: str, name: str, *, slope: float | None = None, clip: bool = False) -> str:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        options = f"0={len(bias)} 1=3 4=1 5=1 6={weight.size}"
        if slope is not None and not self.plain:
            options += f" 9=2 -23310=1,{slope:e}" if slope else " 9=1"
        if clip and not self.plain:
            options += " 9=3 -23310=2,0.000000e+00,1.000000e+00"
        if self.half:
            stored = weight.astype("<f2").tobytes()
            self.content += FLOAT16_FLAG + stored + bytes(-len(stored) % 4)
        else:
            self.content += FLOAT32_FLAG + weight.astype("<f4").tobytes()
        self.content += bias.astype("<f4").tobytes()
        made = self.layer("Convolution", [blob], options)
        if slope is not None and self.plain:
            made = self.layer("ReLU", [made], f"0={slope:e}")
        return self.clipped(made) if clip and self.plain else made

    def clipped(self, blob: str) -> str:
        return self.layer("Clip", [blob], "0=0.000000e+00 1=1.000000e+00")

    def residual(self, branch: str, skip: str) -> str:
        if not self.plain:
            coefficients = "0=1 -23301=2,2.000000e-01,1.000000e+00"
            return self.layer("Eltwise", [branch, skip], coefficients)
        scaled = self.layer("BinaryOp", [branch], "0=2 1=1 2=2.000000e-01")
        return self.layer("BinaryOp", [scaled, skip], "0=0")

    def dense_block(self, x: str, name: str) -> str:
        seen = [x]
        for index in range(1, 5):
            joined = self.layer("Concat", seen, "0=0") if len(seen) > 1 else x
            seen.append(self.conv(joined, f"{name}.conv{index}", slope=LEAKY_SLOPE))
        joined = self.layer("Concat", seen, "0=0")
        return self.residual(self.conv(joined, f"{name}.conv5"), x)

    def rrdbnet(self, sizes: RRDBNet) -> None:
        picture = "data"
        if sizes.unshuffle > 1:
            picture = self.layer("Reorg", [picture], f"0={sizes.unshuffle}")
        features = trunk = self.conv(picture, "conv_first")
        for block in range(sizes.blocks):
            inner = trunk
            for index in range(1, 4):
                inner = self.dense_block(inner, f"body.{block}.rdb{index}")
            trunk = self.residual(inner, trunk)
        x = self.layer("BinaryOp", [features, self.conv(trunk, "conv_body")], "0=0")
        for index in range(1, sizes.upsamplings + 1):
            x = self.layer("Interp", [x], "0=1 1=2.000000e+00 2=2.000000e+00")
            x = self.conv(x, f"conv_up{index}", slope=LEAKY_SLOPE)
        self.conv(self.conv(x, "conv_hr", slope=LEAKY_SLOPE), "conv_last", clip=self.clip)

    def srvgg(self, sizes: SRVGG) -> None:
        x = "data"
        for index in range(sizes.convs + 1):
            slope = {"relu": 0.0, "leaky_relu": SRVGG_LEAKY_SLOPE}.get(sizes.activation)
            x = self.conv(x, f"body.{2 * index}", slope=slope)
            if sizes.activation == "prelu":
                slopes = self.tensors[f"body.{2 * index + 1}.weight"]
                self.content += slopes.astype("<f4").tobytes()
                x = self.layer("PReLU", [x], f"0={slopes.size}")
        x = self.conv(x, f"body.{2 * sizes.convs + 2}")
        details = self.layer("PixelShuffle", [x], f"0={sizes.scale}")
        base = self.layer("Interp", ["data"], f"0=1 1={sizes.scale}.0 2={sizes.scale}.0")
        made = self.layer("BinaryOp", [details, base], "0=0")
        if self.clip:
            self.clipped(made)


@pytest.fixture(scope="session")
def tiny_x2_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An x2 RRDBNet of one block that draws roughly the enlarged input, in its colours.

    The x2 network is the smallest: its trunk works at 64x64, its output is 256x256.
    """
    architecture = RRDBNet(blocks=1, features=8, growth=4, unshuffle=2)
    generator = np.random.default_rng(11)
    tensors = {}
    for name, shape in tensor_shapes(architecture).items():
        fan_in = int(np.prod(shape[1:])) or 1
        values = generator.normal(0.0, 0.3 / np.sqrt(fan_in), shape).astype(np.float32)
        if name in {f"conv_{part}.weight" for part in ("first", "up1", "up2", "hr", "last")}:
            for channel in range(3):
                source = 4 * channel if name == "conv_first.weight" else channel
                values[channel] *= 0.2
                values[channel, source, 1, 1] += 1.0
        tensors[name] = values if name.endswith("weight") else values * np.float32(0.05)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="session")
def small_build(tiny_x2_weights: Path, made_once: Callable[..., Path]) -> Path:
    """A build of it with one int8 model, every weight rounded to the nearest code."""

    def build(out: Path) -> None:
        request = BuildRequest(
            "small",
            targets=("openvino",),
            weights=tiny_x2_weights,
            calibration=CalibrationRequest(count=2),
            quantization=QuantOptions(rounding="nearest"),
            out=out,
            report=False,
        )
        assert build_model(request, Silent()).verification.passed

    return made_once("small", build) / "small"


@pytest.fixture(scope="session")
def handed_over(small_build: Path, tmp_path_factory: pytest.TempPathFactory) -> HandoffOutcome:
    """The bundle of that build for every vendor; four int8 models had to be made for it."""
    out = tmp_path_factory.mktemp("handoff") / "small-handoff.zip"
    request = HandoffRequest(small_build, HANDOFF_TARGETS, out=out, profiles=HANDOFF_PROFILES)
    return make_handoff(request, Silent())


@pytest.fixture(scope="session")
def unpacked(handed_over: HandoffOutcome):
    """The folder that the bundle unpacks to; no test may change it."""
    with opened(handed_over.path) as root:
        yield root


@pytest.fixture(scope="session")
def vacc_only(small_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for one target, which needs no int8 model that the build has not."""
    out = tmp_path_factory.mktemp("vacc") / "small-handoff.zip"
    return make_handoff(HandoffRequest(small_build, ("vacc",), out=out), Silent()).path
