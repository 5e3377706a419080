"""What the tests of this folder share: builds, small networks in every file form, bundles."""

import shutil
from collections.abc import Callable, Iterator, Mapping
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
from deploy.handoff.bundle_zip import opened
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.outcome import HandoffOutcome
from deploy.network.architecture import SRVGG, Architecture, RRDBNet, tensor_shapes
from deploy.pipeline import build_model
from deploy.progress import Silent
from quant.plan import QuantOptions
from tests.browsing import NAMES, Browser
from tests.deploy.builds import copied, run
from tests.deploy.ncnn_writer import NcnnWriter

Array = NDArray[np.float32]

HANDOFF_TARGETS = ("ncnn", "openvino", "qnn", "rknn", "tensorrt", "vacc", "web")
HANDOFF_PROFILES = ("ort", "qnn", "qnn-w8a16", "tensorrt", "tensorrt-10")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """A cache folder of this run alone: nothing that another run kept is found, none is left."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "esrdeploy" / "int8"


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
        writer = NcnnWriter(tensors, half=half, plain=plain, clip=clip)
        match architecture:
            case RRDBNet():
                writer.rrdbnet(architecture)
            case SRVGG():
                writer.srvgg(architecture)
        return writer.text(), bytes(writer.content)

    return make


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
    """The bundle of that build for every vendor; five int8 models had to be made for it."""
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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium, where one is installed."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no Chromium to look at the page with: none of {', '.join(NAMES)} is on PATH")
    found = Browser(executable, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()
