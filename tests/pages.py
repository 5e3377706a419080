"""Run the commands of a page on a tiny network, in a folder that holds what the page speaks of.

Placeholders in capitals stand for files made there.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.numpy import load_file
from skimage import data
from typer.testing import CliRunner

from calib.images import resize_area, write_image
from deploy.cli import app
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.runtime.runner import model_runner

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.parent.name != "decisions"
)
TUTORIAL = "tutorial.md"
BUNDLE = "dist/tiny-vacc-handoff.zip"
PLACEHOLDERS = {
    "PATH": "dist",
    "NAME": "vacc",
    "BUILD": "dist/tiny",
    "ZIP": BUNDLE,
    "BUNDLE": BUNDLE,
    "FILE": "dist/tiny/tiny-int8-ort.onnx",
    "TARGET": "ort",
    "HR_DIR": "photos",
    "OUT": "pairs",
}
FOLDERS = {"eval": "DIV2K", "verify": "returned"}  # what DIR means there
_MODELS = ("x4plus", "x4plus-anime-6b", "animevideov3")  # a tiny network takes their place


def lines_in(text: str) -> list[str]:
    """Return the lines of a page's command blocks, fenced as ``sh`` or indented, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```|((?:^    \S.*\n)+)", text, re.MULTILINE | re.DOTALL)
    lines = (line for fenced, indented in blocks for line in (fenced or indented).splitlines())
    return [line.partition(" #")[0].strip() for line in lines]


def spans_in(text: str) -> list[str]:
    """Return what stands between backticks on a page, each on one line."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def commands_in(lines: Iterator[str] | list[str]) -> list[str]:
    """Return the commands of ours among lines, each once, without what comments say of them."""
    plain = (line.partition(" #")[0].strip().removeprefix(".venv/bin/") for line in lines)
    return list(dict.fromkeys(line for line in plain if re.match(r"esrdeploy( |$)", line)))


def readme_commands() -> list[str]:
    """Return the commands of README.md and of the table of commands that it links."""
    readme, table = (
        (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/commands.md")
    )
    return commands_in([*lines_in(readme), *spans_in(readme), *spans_in(table)])


def commands_of(page: str) -> list[str]:
    """Return the commands of a page; none where tests/test_readme.py runs all of them."""
    commands = commands_in(lines_in((DOCS / page).read_text(encoding="utf-8")))
    return [] if {*commands} <= {*readme_commands()} else commands


def arguments(command: str) -> list[str]:
    """Return a command of a page as it is run here."""
    words = [word.strip("[]") for word in shlex.split(command)[1:]]
    known = {**PLACEHOLDERS, "DIR": FOLDERS.get(words[0], "")}
    unknown = [w for w in words if w.isupper() and w not in known and not Path(w).exists()]
    assert not unknown, f"the page has placeholders that this test does not know: {unknown}"
    words = [known.get(word, word) for word in words]
    if words[0] not in {"build", "calibrate"}:
        return words
    if "--weights" not in words and "--onnx" not in words:
        words = [word for word in words if word not in {"--model", *_MODELS}]
        words += ["--model", "tiny", "--weights", "tiny.safetensors"]
    if "--calib-count" in words:
        del words[words.index("--calib-count") : words.index("--calib-count") + 2]
    count = [] if "--calib-table" in words else ["--calib-count", "2"]
    return [*words, *count, *(["--out", "table"] if words[0] == "calibrate" else [])]


def ran(command: str) -> SimpleNamespace:
    """Run a command of a page; return its exit code, what it printed, and what it raised."""
    result = CliRunner().invoke(app, arguments(command))
    return SimpleNamespace(code=result.exit_code, output=result.output, error=result.exception)


def furnish(folder: Path, tiny_weights: Path) -> None:
    """Put into a folder what pages speak of: a checkpoint, photographs, DIV2K."""
    (folder / "tiny.safetensors").write_bytes(tiny_weights.read_bytes())
    tensors = {name: torch.from_numpy(value) for name, value in load_file(tiny_weights).items()}
    torch.save({"params_ema": tensors}, folder / "my-finetune.pth")
    photograph = resize_area(data.astronaut(), 256, 256)
    lr, hr = folder / "DIV2K/DIV2K_valid_LR_bicubic/X4", folder / "DIV2K/DIV2K_valid_HR"
    for path in (folder / "photos", lr, hr):
        path.mkdir(parents=True)
    for number in range(5):  # enough of them for one to be held back
        view = np.ascontiguousarray(np.roll(photograph, 40 * number, axis=1))
        write_image(folder / "photos" / f"{number}.png", view)
    for number in range(2):
        write_image(hr / f"080{number}.png", resize_area(data.coffee(), 256, 256 + 8 * number))
        write_image(lr / f"080{number}x4.png", resize_area(data.coffee(), 64, 64 + 2 * number))


def return_ours(folder: Path) -> None:
    """Write what a vendor whose results are ours would send back."""
    (folder / "returned").mkdir()
    with opened(folder / BUNDLE) as bundle:
        manifest = read_contents(bundle)
        (int8_model,) = manifest.int8_models.values()
        compute = model_runner(bundle / int8_model, optimized=False)
        for vector in manifest.golden:
            found = compute(np.load(bundle / golden_path("input", vector.name)))
            np.save(folder / "returned" / f"{vector.name}.npy", found)
