"""A build's folder in, ``report.html`` out: one page that shows what was built and how well.

The page is a view of the other files: it shows the manifest and names its digest, so it is made
after it and does not stand in it. Had the manifest named the report, neither could hold the
other's digest, and making the report again with a later version would break a build that is
otherwise intact. `deploy.verify.structure.check_report` asks whether it shows the manifest beside
it.

What it costs beyond reading and checking the files: one inference of every model on each of up to
three pictures, unless the verification of a build has just drawn them (`Album`), and per int8
model one pass of it and of the float model with all inner tensors on one picture.
"""

from dataclasses import replace
from pathlib import Path

from calib.files import write_atomically
from calib.sample import verification_pictures
from deploy.artifacts.files import REPORT_NAME
from deploy.progress import Progress
from deploy.report.content import read_content
from deploy.report.drawing import Album, choose_ranges, draw_scenes
from deploy.report.render import render
from deploy.verify.explain import VerifyOptions, measure_layers
from deploy.verify.verdict import CheckedBuild

__all__ = ["REPORT_NAME", "Album", "write_report"]


def write_report(
    folder: Path,
    progress: Progress,
    album: Album | None = None,
    contents: CheckedBuild | None = None,
) -> bool:
    """Make the report of the build in ``folder`` and write it beside the other files.

    Args:
        folder: of the build, with its manifest.
        progress: told what is going on.
        album: what the models drew a moment ago, to spare inferences.
        contents: the files as they were checked a moment ago, to spare checking them again.

    Returns:
        Whether everything that the report shows holds.

    Raises:
        VerificationError: there is no manifest, or it is broken.
        UsageError: the file cannot be written.
    """
    content = read_content(folder, progress, contents)
    scenes = draw_scenes(content, album or Album(), progress)
    probe = verification_pictures().patches[:1]
    errors, checks = measure_layers(content.build, probe, VerifyOptions(layers=True), progress)
    content = replace(content, checks=(*content.checks, *checks))
    layers = {card.label: errors.get(card.artifact.path, ()) for card in content.cards}
    page = render(content, scenes, layers, choose_ranges(content))
    write_atomically(folder / REPORT_NAME, page)
    return content.passed
