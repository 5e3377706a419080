"""Make the one page of a build: what was built, whether it holds, and what it looks like.

``report.html`` is a view of the build in its folder and no part of it: it names the digest of the
manifest that it shows, no manifest names it, and it can be made again at any time. It holds
neither time nor host nor path, so the same build gives the same page.

What it costs besides checking the files: one inference of every model on each of up to three
pictures, unless the verification of a build has just run them, and per int8 model one pass of it
and of the float model with all inner tensors on one picture.
"""

from dataclasses import replace
from pathlib import Path

from calib.files import write_atomically
from deploy.artifacts.files import REPORT_NAME
from deploy.artifacts.manifest import Manifest
from deploy.progress import Progress
from deploy.report.content import Content, content_of, read_content
from deploy.report.drawing import choose_ranges, draw_scenes
from deploy.report.render import Measured, ShownPictures, render
from deploy.runtime.outputs import Outputs
from deploy.verify.chart import measure_chart
from deploy.verify.contents import CheckedBuild
from deploy.verify.explain import LAYER_PICTURES, measure_layers
from deploy.verify.judges import Judges, judges_of, shown_instead
from deploy.verify.verification import Verification

__all__ = ["REPORT_NAME", "remake_report", "write_report"]


def write_report(
    checked: CheckedBuild, verification: Verification, manifest: Manifest, progress: Progress
) -> bool:
    """Make the report of a build that was just verified, and write it beside the other files.

    Args:
        checked: the build and what was asked of its files, before its manifest was written.
        verification: what was compared, and what the models drew.
        manifest: the manifest as it was written.
        progress: told what is going on.

    Returns:
        Whether everything that the report shows holds.

    Raises:
        UsageError: the file cannot be written.
    """
    content = content_of(checked.under(manifest, verification.parity_record()))
    measured = Measured(verification.layers, verification.layer_images, verification.charts)
    return _write(content, verification.judges, verification.outputs, measured, progress)


def remake_report(folder: Path, progress: Progress, images: Path | None = None) -> bool:
    """Make the report of the build in ``folder`` again.

    Args:
        folder: of the build, with its manifest.
        progress: told what is going on.
        images: folder that holds the user's pictures that the build was verified on; without it
            the page shows the embedded sample's, and says that its figures are of others.

    Returns:
        Whether everything that the report shows holds.

    Raises:
        VerificationError: there is no manifest, or it is broken.
        UsageError: the file cannot be written.
    """
    content = read_content(folder, progress)
    judges = judges_of(content.manifest, images).unseen_by(content.build)
    layers = measure_layers(content.checked, judges.patches.patches[:LAYER_PICTURES], progress)
    content = replace(content, checks=(*content.checks, *layers.checks))
    shown = layers.outputs.images if layers.errors else ()
    charts = measure_chart(content.build, progress)
    measured = Measured(layers.errors, shown, charts)
    return _write(content, judges, layers.outputs, measured, progress)


def _write(
    content: Content,
    judges: Judges,
    outputs: Outputs,
    measured: Measured,
    progress: Progress,
) -> bool:
    other = shown_instead(content.manifest.verified_on, judges.record())
    if other:
        progress.note(f"{content.manifest.stem}: the report's {other}")
    scenes = draw_scenes(content, judges.patches.patches, outputs, progress)
    shown = ShownPictures(judges.record(), other, scenes)
    page = render(content, shown, measured, choose_ranges(content))
    write_atomically(content.build.folder / REPORT_NAME, page)
    return content.passed
