"""Every command refuses bad usage and bad input alike: exit 2, one line, with --json a document."""

import json
import shutil
from pathlib import Path

import pytest
import typer

from calib.digest import sha256_bytes
from calib.images import read_image, write_image
from calib.sample import sample_patches
from deploy.cli import app
from deploy.handoff.bundle_zip import opened
from deploy.handoff.outcome import HandoffOutcome
from tests.deploy.builds import run

# By command: what is wrong, what is given, and what the line names. Words in braces are paths of
# the fixture ``place``.
REFUSED: dict[str, dict[str, tuple[str, str]]] = {
    "bench": {
        "no build": ("--builds {empty}", "no build"),
        "no folder": ("--builds {absent}", "absent"),
        "no rounds": ("--builds {build} --rounds 0", "--rounds"),
    },
    "degrade": {
        "no folder": ("{absent} {empty}", "absent"),
        "no photographs": ("{empty} {own_out}", "no image"),
        "a scale that no network has": ("{calibrated} {own_out} --scale 9", "--scale"),
    },
    "doctor": {
        "no option of that name": ("--heal", "No such option"),
    },
    "upscale": {
        "no picture": ("{absent} {own_out} --builds {build}", "absent"),
        "no build": ("{calibrated} {own_out} --builds {empty}", "no build"),
        "a scale beyond all": ("{calibrated} {own_out} --builds {build} --scale 17", "--scale"),
    },
    "build": {
        "neither model nor weights": ("", "neither --model nor --weights"),
        "no option of that name": ("--modell x4plus", "No such option"),
        "a word that is none of the option's": ("--model x4plus --mode half", "'half'"),
        "unknown model": ("--model x5plus", "x5plus"),
        "unknown target": ("--model x4plus --target abacus", "abacus"),
        "a misspelt target": ("--model x4plus --target qualcom", "did you mean qualcomm?"),
        "weights that are not there": ("--model x4plus --weights {absent}", "absent"),
        "no folder of images": ("--model x4plus --calib {absent}", "absent"),
        "an empty folder of images": ("{own} --calib {empty}", "no image"),
        "a percentile below half": ("--model x4plus --percentile 20", "--percentile"),
        "a target that has nothing to promote to": (
            "--model x4plus --target qnn-w8a16 --min-parity 40",
            "no precision above",
        ),
    },
    "simulate": {
        "no toolchain": ("{zip}", "--target"),
        "an unknown toolchain": ("{zip} --target abacus", "abacus"),
        "a misspelt toolchain": ("{zip} --target qualcom", "did you mean qualcomm?"),
        "a toolchain whose licence forbids it": ("{zip} --target deepx", "DEEPX"),
        "a bundle that is not there": ("{absent} --target openvino --yes", "absent"),
        "a route that it has not": ("{zip} --target openvino --route w8a8", "float, int8"),
        "nobody who could agree": ("{zip} --target openvino --out {own_out}", "--yes"),
        "no time": ("{zip} --target openvino --time-limit 0", "--time-limit"),
    },
    "verify": {
        "no folder": ("{absent}", "absent"),
        "a folder without a manifest": ("{empty}", "no manifest.json"),
        "a bundle": ("{unpacked}", "handoff --check"),
        "a zip": ("{zip}", "handoff --check"),
        "pictures that are all calibrated on": (
            "{build} --images {calibrated}",
            "calibrated on all",
        ),
        "no folder of pictures": ("{build} --images {absent}", "absent"),
        "a backend beside none": ("{build} --backend none --backend ort", "none alone"),
        "results for several vendors": ("--returned {empty} {zip}", "say with --vendor"),
        "results of a vendor whom the bundle is not for": (
            "--returned {empty} {zip} --vendor abacus",
            "not for abacus",
        ),
        "a target given as a vendor": (
            "--returned {empty} {zip} --vendor qnn-w8a16",
            "--profile qnn-w8a16",
        ),
        "a folder of builds given as a bundle": ("--returned {empty} {builds}", "BUNDLE.zip"),
        "a build given as a bundle": ("--returned {empty} {build}", "makes a bundle of it"),
        "a folder that is no bundle": ("--returned {empty} {empty}", "handoff.zip"),
        "a text given as a bundle": ("--returned {empty} {text}", "is no zip"),
        "results that are not there": ("--returned {absent} {zip} --vendor qnn", "absent"),
        "a profile that the bundle lacks": (
            "--returned {empty} {zip} --vendor qnn --profile abacus",
            "abacus",
        ),
        "a quantization that is none": (
            "--returned {empty} {zip} --output-quantization int8",
            "DTYPE:SCALE:ZERO_POINT",
        ),
    },
    "models": {
        "an unknown model": ("--download x5plus", "x5plus"),
        "a mirror without a model": ("--releases https://x", "--download"),
        "an argument that it does not take": ("x4plus", "unexpected extra argument"),
    },
    "targets": {
        "an argument that it does not take": ("qnn", "unexpected extra argument"),
        "no option of that name": ("--target qnn", "No such option"),
    },
    "calibrate": {
        "neither model nor weights": ("", "neither --model nor --weights"),
        "unknown model": ("--model x5plus", "x5plus"),
        "no images": ("--model x4plus --calib {absent}", "absent"),
        "no picture at all": ("--model x4plus --calib-count 0", "--calib-count"),
    },
    "compare": {
        "no picture": ("", "PICTURE"),
        "a picture that is not there": ("{absent} --builds {builds}", "absent"),
        "no builds": ("{calibrated} --builds {empty}", "no build"),
        "a target that is not built": ("{calibrated} --builds {builds} --target abacus", "abacus"),
    },
    "eval": {
        "no data": ("", "--data"),
        "data that are not there": ("--data {absent} --builds {builds}", "absent"),
        "no builds": ("--data {empty} --builds {empty}", "no build"),
        "a target that is not built": (
            "--data {empty} --builds {builds} --target abacus",
            "abacus",
        ),
        "two options that exclude each other": ("--data {empty} --whole", "--shape source"),
        "a network for FID that is not there": (
            "--data {empty} --builds {builds} --fid {absent}",
            "absent",
        ),
    },
    "report": {
        "no folder": ("{absent}", "absent"),
        "a folder without a manifest": ("{empty}", "no manifest.json"),
        "a bundle": ("{unpacked}", "handoff --check"),
    },
    "inspect": {
        "no file": ("{absent}", "absent"),
        "a text": ("{text}", "is no ONNX model"),
        "rules of no target": ("{model} --rules abacus", "abacus"),
    },
    "handoff": {
        "no vendor": ("{build}", "--vendor"),
        "an unknown vendor": ("{build} --vendor abacus", "abacus"),
        "a misspelt vendor": ("{build} --vendor nvidea", "did you mean nvidia?"),
        "a target given as a vendor": ("{build} --vendor qnn-w8a16", "--profile qnn-w8a16"),
        "no build": ("{empty} --vendor qnn", "found no build"),
        "a bundle given as a build": ("{unpacked} --vendor qnn", "handoff --check"),
        "too few pictures": ("{build} --vendor qnn --count 2", "8"),
        "a bundle that is not there": ("--check {absent}", "absent"),
        "a build given as a bundle": ("--check {build}", "makes a bundle of it"),
        "a text given as a bundle": ("--check {text}", "is no zip"),
    },
}
CASES = [
    pytest.param(command, line, named, id=f"{command}: {case}")
    for command, cases in REFUSED.items()
    for case, (line, named) in cases.items()
]


@pytest.fixture(scope="session")
def place(
    small_build: Path,
    handed_over: HandoffOutcome,
    tiny_weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Paths of what may be named in the wrong place, by the words of the table."""
    folder = tmp_path_factory.mktemp("refusals")
    for name in ("empty", "calibrated"):
        (folder / name).mkdir()
    (folder / "text").write_text("neither a model nor a zip")
    with opened(handed_over.path) as root:
        shutil.copytree(root, folder / "unpacked")
    for position, patch in enumerate(sample_patches("calibration", 2).patches):
        write_image(folder / "calibrated" / f"{position}.png", patch.load())
    return {
        "absent": str(folder / "absent"),
        "empty": str(folder / "empty"),
        "text": str(folder / "text"),
        "calibrated": str(folder / "calibrated"),
        "unpacked": str(folder / "unpacked"),
        "zip": str(handed_over.path),
        "build": str(small_build),
        "builds": str(small_build.parent),
        "model": str(small_build / "small-fp32.onnx"),
        "own_out": str(folder / "out"),
        "own": f"--model tiny --weights {tiny_weights}",
    }


def test_the_table_has_every_command() -> None:
    assert set(REFUSED) == set(typer.main.get_command(app).commands)


@pytest.mark.parametrize(("command", "line", "named"), CASES)
def test_refused(command: str, line: str, named: str, place: dict[str, str]) -> None:
    arguments = [command, *line.format(**place).split()]
    result = run(*arguments, "--json")
    assert result.exit_code == 2, result.output
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("esrdeploy: ")]
    document = json.loads(result.stdout)
    assert named in said
    assert said == f"esrdeploy: {document['error']['message']}"
    assert document["schema"] == "esrdeploy.cli.error/1"
    assert (document["command"], document["exit_code"]) == (command, 2)
    assert "Traceback" not in result.stderr


def test_the_calibrated_pictures_are_those_of_the_build(place: dict[str, str]) -> None:
    table = json.loads((Path(place["build"]) / "calibration.json").read_text())
    seen = {patch["sha256"] for patch in table["images"]["patches"]}
    shown = [read_image(path) for path in Path(place["calibrated"]).iterdir()]
    assert {sha256_bytes(picture.tobytes()) for picture in shown} == seen
