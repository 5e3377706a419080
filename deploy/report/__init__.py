"""A build's folder in, ``report.html`` out: one page that shows what was built and how well.

The page is a view of the other files: it shows the manifest and names its digest, so it is made
after it and does not stand in it. Had the manifest named the report, neither could hold the
other's digest, and making the report again with a later version would break a build that is
otherwise intact. `stale_report` tells whether a page belongs to the manifest beside it.

What it costs beyond reading and checking the files: one inference of every model on each of up to
three pictures, unless the verification of a build has just drawn them, and per int8 model one
pass of it and of the float model with all inner tensors on one picture.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from calib.dataset import PatchRef
from calib.digest import sha256_file
from calib.images import Picture, to_input, to_picture
from deploy.artifacts import MANIFEST_NAME, write_atomically
from deploy.layers import LayerError, layer_errors
from deploy.parity import Runner
from deploy.progress import Progress
from deploy.report.content import Content, model_label, read_content
from deploy.report.pictures import PICTURES, Scene, choose, draw
from deploy.report.render import render
from deploy.running import model_runner
from deploy.verify import verification_pictures

REPORT_NAME = "report.html"

Drawn = Mapping[tuple[str, str], Picture]
"""Pictures drawn already, uint8 [H, W, 3], by file name of the model and name of the picture."""

_MADE_FROM = re.compile(rb'<meta name="esrdeploy-manifest" content="([0-9a-f]{64})">')


def write_report(folder: Path, progress: Progress, drawn: Drawn | None = None) -> bool:
    """Make the report of the build in ``folder`` and write it beside the other files.

    Args:
        folder: of the build, with its manifest.
        progress: told what is going on.
        drawn: what models drew a moment ago, to spare inferences.

    Returns:
        Whether everything that the report shows holds.

    Raises:
        VerificationError: there is no manifest, or it is broken.
        UsageError: the file cannot be written.
    """
    content = read_content(folder)
    scenes = _scenes(content, progress, drawn or {})
    layers = _layers(content, progress)
    write_atomically(folder / REPORT_NAME, render(content, scenes, layers))
    return content.passed


def stale_report(folder: Path) -> str | None:
    """Say why the report in ``folder`` does not belong to the manifest beside it.

    Returns:
        One line, or ``None`` where it does, or where there is no report.
    """
    path = folder / REPORT_NAME
    if not path.is_file():
        return None
    found = _MADE_FROM.search(path.read_bytes())
    digest = sha256_file(folder / MANIFEST_NAME)
    if found is not None and found[1].decode() == digest:
        return None
    said = "no manifest" if found is None else f"manifest {found[1].decode()}"
    return f"shows {said}, the one beside it is {digest}; run 'esrdeploy report' again"


def _scenes(content: Content, progress: Progress, drawn: Drawn) -> tuple[Scene, ...]:
    """Let every intact model draw the chosen pictures."""
    build = content.build
    if build.float_model is None:
        return ()
    patches = {patch.name: patch for patch in verification_pictures().patches}
    parity_db = {name: db for name, db in content.parity_db.items() if name in patches}
    roles = choose(parity_db) if parity_db else [(name, "") for name in list(patches)[:PICTURES]]
    chosen = [(patches[name], role) for name, role in roles]
    models = {model_label(item): item for item in content.manifest.models()}
    models = {label: item for label, item in models.items() if item.path in build.models}
    runners: dict[str, Runner] = {}

    def draw_one(label: str, patch: PatchRef) -> Picture:
        path = models[label].path
        if (path, patch.name) in drawn:
            return drawn[path, patch.name]
        if label not in runners:
            is_float = models[label].precision == "fp32"
            runners[label] = model_runner(build.models[path], optimized=is_float)
        picture = to_picture(runners[label](to_input(patch.load())))
        advance()
        return picture

    missing = sum((item.path, p.name) not in drawn for item in models.values() for p, _ in chosen)
    with progress.stage("report: drawing pictures", missing) as advance:
        return draw(chosen, draw_one, list(models))


def _layers(content: Content, progress: Progress) -> dict[str, tuple[LayerError, ...]]:
    """Measure the error of every tensor of every int8 model on the first picture."""
    build = content.build
    found: dict[str, tuple[LayerError, ...]] = {}
    if build.float_model is None:
        return found
    probe = to_input(verification_pictures().patches[0].load())
    for item in content.manifest.models():
        plan = content.plans.get(item.target or "")
        if plan is None:
            continue
        with progress.stage(f"report: layers of {item.path}", 1) as advance:
            measured = partial(layer_errors, build.float_model, build.models[item.path], plan)
            found[model_label(item)] = measured([probe], on_step=advance)
    return found
