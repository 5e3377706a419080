"""verify finds every known fault and names it, and finds none in good builds."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.cli import returned as returned_command
from deploy.diagnosis import pictures
from deploy.handoff import returned
from deploy.network.architecture import SRVGG, Architecture, RRDBNet
from deploy.pipeline import build_model
from deploy.progress import Silent
from deploy.verify.verdict import verify_tree
from deploy.verify.verification import Verification
from quant.plan import QuantOptions
from tests.deploy.builds import FLOAT, HALF, INT8, copied, edit_initializer, edit_manifest, run
from tests.deploy.faults import FAULTS, Fault
from tests.deploy.spoiling import Folders, fp16_overflow, middle_edge

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def make_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Tensors to the folder of a build of them, called tiny."""

    def make(tensors: Mapping[str, np.ndarray], **request: object) -> Path:
        folder = tmp_path_factory.mktemp("made")
        save_file(dict(tensors), folder / "tiny.safetensors")
        fields = {
            "calibration": CalibrationRequest(count=2),
            "quantization": QuantOptions(rounding="nearest"),
            "report": False,  # which would show what verify found
            **request,
        }
        made = BuildRequest(
            "tiny", weights=folder / "tiny.safetensors", out=folder / "dist", **fields
        )
        outcome = build_model(made, Silent())
        assert outcome.verification.passed, failures(outcome.verification)
        return outcome.folder

    return make


@pytest.fixture(scope="session")
def tiny(tiny_weights: Path) -> dict[str, np.ndarray]:
    return load_file(tiny_weights)


@pytest.fixture(scope="session")
def other(make_build: Build, tiny: dict[str, np.ndarray]) -> Path:
    """A good build of another network of the same architecture."""
    rng = np.random.default_rng(8)
    shaken = {
        name: rng.permutation(value.reshape(-1)).reshape(value.shape)
        if name.startswith("body")
        else value
        for name, value in tiny.items()
    }
    return make_build(shaken, quantization=QuantOptions())


@pytest.fixture(scope="session")
def elsewhere(make_build: Build, tiny: dict[str, np.ndarray]) -> Path:
    """A good build of the same network, calibrated on other images."""
    return make_build(tiny, calibration=CalibrationRequest(count=3))


@pytest.fixture
def folders(built: Path, other: Path, elsewhere: Path, tmp_path: Path) -> Folders:
    return Folders(copied(built, tmp_path / "tiny"), other, elsewhere)


def verified(folder: Path, picture: Path, weights: Path) -> Verification:
    (verification,) = verify_tree(folder, images=picture, weights=weights, progress=Silent())
    return verification


def failures(verification: Verification) -> list[str]:
    """Return everything the report blames, one line each: file and reason."""
    lines = [f"{c.artifact}: {c.detail}" for c in verification.checks if c.status == "failed"]
    return lines + [
        f"{result.candidate}: {line}" for result in verification.parity for line in result.failures
    ]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_named(
    fault: Fault, folders: Folders, picture: Path, tiny_weights: Path
) -> None:
    fault.inject(folders)
    verification = verified(folders.build, picture, tiny_weights)
    assert not verification.passed
    blamed = [line for line in failures(verification) if line.startswith(f"{fault.artifact}: ")]
    assert any(re.search(fault.named, line) for line in blamed), failures(verification)
    # Nobody recorded a digest that would give it away.
    assert all(c.status == "passed" for c in verification.checks if c.name == "file")
    json.dumps(verification.record(), allow_nan=False)


GUIDE = (Path(__file__).parents[3] / "docs/guides/when-verification-fails.md").read_text("utf-8")


def quotes(heading: str, columns: int = 1) -> list[str]:
    """Return what stands between backticks in the first columns of a table of the guide."""
    table = GUIDE[GUIDE.index(heading) :].partition("\n\n")[0]
    cells = (cell for row in table.splitlines()[2:] for cell in row[2:-2].split(" | ")[:columns])
    return [quote for cell in cells for quote in QUOTE.findall(cell) if quote[:2] != "--"]


QUOTE = re.compile(r"`([^`]+)`")
SHOWN_FAULTS = [
    fault
    for fault in FAULTS
    if fault.name
    in {
        "BGR at the input of int8",
        "missing / 255 in int8",
        "transposed weight in int8",
        "one zero scale",
        "wrong zero point",
        "table of other images",
        "int8 file of another model",
        "int8 file and plan of another model",
    }
]


def changed(folders: Folders) -> None:
    path = folders.build / HALF
    path.write_bytes(path.read_bytes() + b"\n")


def joined_by_another(folders: Folders) -> None:
    (folders.build / "tiny-int8-qnn.onnx").write_bytes((folders.build / INT8).read_bytes())


def halved_scale(folders: Folders) -> None:
    name = f"{middle_edge(folders.build)}_scale"
    edit_initializer(folders.build, INT8, name, lambda scale: scale / 2)


def overflowing(folders: Folders) -> None:
    fp16_overflow(Folders(folders.build, folders.build, folders.build))


def test_the_guide_quotes_what_verify_prints(  # noqa: PLR0917  # fixtures
    built: Path, loud: Path, other: Path, elsewhere: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    faults = [*(fault.inject for fault in SHOWN_FAULTS), changed, joined_by_another, halved_scale]
    printed = {}
    for number, inject in enumerate([*faults, overflowing]):
        good = loud if inject is overflowing else built
        folder = copied(good, tmp_path / str(number) / "tiny")
        inject(Folders(folder, other, elsewhere))
        weights = loud.parent.parent / "tiny.safetensors" if good is loud else tiny_weights
        done = run("verify", folder, "--weights", weights, "--backend", "none")
        assert done.exit_code == 1, done.output
        printed[number] = " ".join(done.stdout.split())
    quoted = quotes("| it says | what it is | what to do |")
    assert len(quoted) > 10
    assert [quote for quote in quoted if not any(quote in text for text in printed.values())] == []


def test_the_guide_quotes_what_is_said_of_returns() -> None:
    """The code has these words; that each fault gets its own, tests/test_site.py asks."""
    rooms = (Path(returned.__file__).parent, Path(pictures.__file__).parent)
    code = [path.read_text("utf-8") for room in rooms for path in room.glob("*.py")]
    code.append(Path(returned_command.__file__).read_text("utf-8"))
    quoted = quotes("| it says | what it is |\n", columns=2)
    assert len(quoted) > 12
    assert [quote for quote in quoted if not any(quote in text for text in code)] == []


def swapped(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    first, last = tensors["conv_first.weight"], tensors["conv_last.weight"]
    return {
        "conv_first.weight": first[:, ::-1],
        "conv_last.weight": last[::-1],
        "conv_last.bias": tensors["conv_last.bias"][::-1],
    }


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (swapped, "channels swapped"),
        (lambda t: {"conv_last.weight": t["conv_last.weight"][::-1]}, "channels swapped"),
        (lambda t: {"conv_hr.weight": t["conv_hr.weight"].swapaxes(2, 3)}, "transposed"),
        (lambda t: {"conv_hr.weight": t["conv_hr.weight"].swapaxes(0, 1)}, "transposed"),
        (lambda t: {"conv_first.weight": t["conv_first.weight"] / 255}, "missing / 255"),
    ],
    ids=["BGR in and out", "BGR out", "transposed kernels", "transposed channels", "for bytes"],
)
def test_a_float_file_of_spoiled_weights_is_caught_though_all_follows_from_it(  # noqa: PLR0917
    spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    named: str,
    tiny: dict[str, np.ndarray],
    tiny_weights: Path,
    make_build: Build,
    picture: Path,
) -> None:
    spoiled = {name: np.ascontiguousarray(value) for name, value in (tiny | spoil(tiny)).items()}
    folder = make_build(spoiled, precision="fp32")
    sha256 = verified_weights(tiny_weights)
    edit_manifest(folder, lambda manifest: manifest["weights"].update(sha256=sha256))
    verification = verified(folder, picture, tiny_weights)
    assert not verification.passed
    blamed = [line for line in failures(verification) if line.startswith(f"{FLOAT}: ")]
    assert any(re.search(named, line) for line in blamed), blamed


def verified_weights(weights: Path) -> str:
    from deploy.network.weights.checkpoint import load_checkpoint

    return load_checkpoint(weights).sha256


@pytest.fixture(scope="session")
def loud(make_build: Build, tiny: dict[str, np.ndarray]) -> Path:
    """A good build of a network with an activation beyond fp16, all weights within it."""
    # LeakyReLU is positively homogeneous: what one convolution gains a later one gives back.
    gain = np.float32(2.0**10)
    return make_build(
        tiny
        | {
            "conv_up1.weight": tiny["conv_up1.weight"] * gain,
            "conv_up1.bias": tiny["conv_up1.bias"] * gain,
            "conv_up2.weight": tiny["conv_up2.weight"] * gain,
            "conv_up2.bias": tiny["conv_up2.bias"] * gain**2,
            "conv_hr.weight": tiny["conv_hr.weight"] / gain**2,
        },
        precision="fp16",
    )


def test_nodes_around_an_overflow_stay_in_float_by_themselves(loud: Path) -> None:
    kept = json.loads((loud / "manifest.json").read_text())["fp16_kept"]
    assert {"/conv_up2/Conv", "/conv_hr/Conv"} <= set(kept)
    assert all(re.match(r"overflow: \w+ '.*' reaches \d", why) for why in kept.values())


def test_an_unannounced_fp16_overflow_is_caught_and_named(
    loud: Path, picture: Path, tmp_path: Path
) -> None:
    folder = copied(loud, tmp_path / "tiny")
    fp16_overflow(Folders(folder, folder, folder))
    verification = verified(folder, picture, loud.parent.parent / "tiny.safetensors")
    assert not verification.passed
    lines = [line for line in failures(verification) if line.startswith(f"{HALF}: ")]
    assert any("fp16 overflow: activation '/conv_up2/Conv_output_0'" in line for line in lines)
    assert any("computes in fp16, expected float32" in line for line in lines), lines


SMALL, DEEP = RRDBNet(1, 8, 4), RRDBNet(2, 8, 4)
UNSHUFFLED, COMPACT = RRDBNet(1, 8, 4, unshuffle=2), SRVGG(convs=2, features=8, scale=4)
GOOD: list[tuple[str, Architecture, int, tuple[str, ...], QuantOptions]] = [
    ("small", SMALL, 1, ("ort",), QuantOptions()),
    ("another seed", SMALL, 2, ("tensorrt", "tensorrt-10"), QuantOptions(rounding="nearest")),
    ("deep", DEEP, 3, ("openvino",), QuantOptions(rounding="nearest")),
    ("deep, 32 bits", DEEP, 4, ("ort",), QuantOptions(rounding="nearest", accumulator_bits=32)),
    ("whole in integers", SMALL, 5, ("ort",), QuantOptions(rounding="nearest", full_integer=True)),
    ("qnn", SMALL, 6, ("qnn",), QuantOptions(rounding="nearest")),
    ("16 bits", SMALL, 7, ("qnn-w8a16",), QuantOptions(rounding="nearest")),
    ("percentile", SMALL, 8, ("ort",), QuantOptions(rounding="nearest", percentile=99.9)),
    ("x2", UNSHUFFLED, 9, ("ort",), QuantOptions(rounding="nearest")),
    ("compact", COMPACT, 10, ("ort", "openvino"), QuantOptions(rounding="nearest")),
]


@pytest.mark.parametrize(
    ("architecture", "seed", "targets", "options"),
    [case[1:] for case in GOOD],
    ids=[case[0] for case in GOOD],
)
def test_a_good_build_gives_no_alarm(  # noqa: PLR0917  # fixtures
    architecture: Architecture,
    seed: int,
    targets: tuple[str, ...],
    options: QuantOptions,
    make_build: Build,
    random_tensors: Callable[..., dict[str, np.ndarray]],
) -> None:
    folder = make_build(  # which verifies it
        random_tensors(architecture, seed, gain=1.0), targets=targets, quantization=options
    )
    assert len(list(folder.glob("tiny-int8-*.onnx"))) == len(targets)
