"""Show what every fault of the guide to failed verifications looks like, and what finds it.

Each is put into a good build, or into what a vendor would return for its bundle; ``verify`` judges
that as it does for a user, and has to fail it with the words that the guide has for it.
"""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from calib.arrays import Float32
from calib.colours import RGB
from calib.images import Picture, resize_area, to_input, to_picture, write_image
from calib.sample import verification_pictures
from deploy.artifacts.files import REPORT_NAME, model_file_name
from deploy.artifacts.templates import page_environment
from deploy.cli import app
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import opened
from deploy.report.pictures import heat_colours, heatmap
from deploy.runtime.runner import model_runner
from tools.site.pictures import Pictures, png
from tools.site.spoilt_files import FILES, SpoiltFile, spoil
from tools.site.spoilt_returns import RETURNS, Golden, SpoiltReturn

SHOWN_PX = 256
HEAT_SCALE = 64  # grey levels of the brightest colour, the same for every fault
_FOLDER = "pictures/faults"
_AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """A fault that was put in.

    Attributes:
        fault: what was done.
        words: of the command that judges it.
        should_be: what float draws of a picture.
        drawn: what comes out instead.
    """

    fault: SpoiltFile | SpoiltReturn
    words: Sequence[str]
    should_be: Picture
    drawn: Picture


def pictures_of_faults(build: Path, bundle: Path, folder: Path) -> Pictures:
    """Put in one fault after the other, draw what comes out, and have it judged.

    Args:
        build: of one int8 file, for ``ort``, that ``verify`` accepts.
        bundle: made of it for one vendor.
        folder: for spoilt copies.

    Raises:
        RuntimeError: ``verify`` accepts a fault, or has other words for it.
    """
    cases = {
        "faults-of-files": [*_spoilt_files(build, folder)],
        "faults-of-returns": [*_spoilt_returns(bundle, folder)],
    }
    template = page_environment("tools.site").get_template("faults.html").module
    with ProcessPoolExecutor(_AT_ONCE, get_context("spawn")) as pool:
        shown = {
            mark: str(template.faults(_told(judged, pool), _FOLDER, heat_colours(), HEAT_SCALE))
            for mark, judged in cases.items()
        }
    files = {}
    for case in (*cases["faults-of-files"], *cases["faults-of-returns"]):
        name = f"{_FOLDER}/{case.fault.name}"
        difference = np.abs(case.drawn.astype(np.int16) - case.should_be).max(axis=2)
        files[f"{name}-float.png"] = _small(case.should_be)
        files[f"{name}.png"] = _small(case.drawn)
        files[f"{name}-difference.png"] = png(heatmap(difference.astype(np.uint8), HEAT_SCALE))
    return Pictures(shown, files)


def _spoilt_files(build: Path, folder: Path) -> Iterator[Case]:
    patch = verification_pictures().patches[0]
    given = to_input(patch.load(), RGB)
    pictures = folder / "picture"
    pictures.mkdir(parents=True)
    write_image(pictures / patch.name.partition("@")[0], patch.load())
    should_be = _drawn(build / model_file_name(build.name, "fp32"), given)
    for fault in FILES:
        spoilt = Path(shutil.copytree(build, folder / fault.name / build.name))
        (spoilt / REPORT_NAME).unlink()  # it is of the file before
        file = model_file_name(build.name, "int8", "ort")
        spoil(spoilt, file, fault)
        words = ["verify", str(spoilt), "--images", str(pictures), "--backend", "none"]
        yield Case(fault, words, should_be, _drawn(spoilt / file, given))


def _spoilt_returns(bundle: Path, folder: Path) -> Iterator[Case]:
    with opened(bundle) as root:
        golden = Golden(root, read_contents(root))
        name, *_ = golden.float_outputs
        should_be = to_picture(golden.float_outputs[name])
        for fault in RETURNS:
            outputs = fault.outputs(golden)
            returned = folder / fault.name
            returned.mkdir(parents=True)
            for other, array in outputs.items():
                np.save(returned / f"{other}.npy", array)
            report = folder / f"{fault.name}.html"
            words = ["verify", str(bundle), "--returned", str(returned), "--report", str(report)]
            yield Case(fault, words, should_be, to_picture(outputs[name]))


def _told(
    cases: Sequence[Case], pool: Executor
) -> list[tuple[SpoiltFile | SpoiltReturn, list[str]]]:
    """Have cases judged; return each fault with the lines of ``verify`` that name it.

    Raises:
        RuntimeError: one does not fail, or nothing of it is said in the fault's words.
    """
    found = []
    for case, (code, printed) in zip(
        cases, pool.map(_verify, [case.words for case in cases]), strict=True
    ):
        lines = _lines_on(case.fault, printed)
        if code != 1 or not any(case.fault.says in line for line in lines):
            raise RuntimeError(
                f"{case.fault.name}: verify gave {code} and does not say {case.fault.says!r}\n"
                f"{printed}"
            )
        found.append((case.fault, lines))
    return found


def _verify(words: Sequence[str]) -> tuple[int, str]:
    """Run a command; return its exit code and what it printed."""
    result = CliRunner().invoke(app, [*words])
    return result.exit_code, result.stdout


def _lines_on(fault: SpoiltFile | SpoiltReturn, printed: str) -> list[str]:
    """Return the lines on what fails; of a file, many of whose checks fail, those that name it."""
    starts = ("FAIL  ", "likely cause: ", "  ")
    lines = [line.strip() for line in printed.splitlines() if line.startswith(starts)]
    if isinstance(fault, SpoiltReturn):
        return lines
    return [line for line in lines if fault.says in line]


def _drawn(file: Path, given: Float32) -> Picture:
    """Return what a file draws in QDQ reference semantics, with 0 for what is no number."""
    return to_picture(np.nan_to_num(model_runner(file, optimized=False)(given), posinf=1.0))


def _small(picture: Picture) -> bytes:
    return png(resize_area(picture, SHOWN_PX, SHOWN_PX))
