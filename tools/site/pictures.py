"""Draw the pictures of the documentation site with a build, and keep its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from calib.images import Picture
from calib.sample import verification_pictures
from deploy.artifacts.files import REPORT_NAME
from deploy.artifacts.templates import page_environment
from deploy.progress import Silent
from deploy.report.content import read_content
from deploy.report.drawing import choose_ranges, draw_scenes
from deploy.report.pictures import heat_colours, heat_scale, heatmap
from deploy.report.plots import range_plot
from deploy.runtime.outputs import Outputs

RANGES = 3


@dataclass(frozen=True)
class Pictures:
    """What pages show of a build.

    Attributes:
        shown: HTML by the name that a page's mark gives it; `SITE/` in it is the site's folder.
        files: contents by path below the site's folder.
    """

    shown: Mapping[str, str]
    files: Mapping[str, bytes]


def pictures_of_build(folder: Path) -> Pictures:
    """Draw the picture of lowest parity with each model, and the costliest ranges of int8.

    Args:
        folder: of a build that was verified on the embedded sample, with its report.
    """
    content = read_content(folder, Silent())
    scenes = draw_scenes(content, verification_pictures().patches, Outputs(), Silent())
    scene, scale = scenes[0], heat_scale(scenes)
    int8, levels = scene.drawings[-1], scene.differences[-1]
    (ranges,) = choose_ranges(content).values()
    template = page_environment("tools.site").get_template("build.html").module
    shown = {
        "drawn": template.drawn(scene, int8.label, levels, scale, heat_colours()),
        "ranges": template.ranges([range_plot(chosen) for chosen in ranges[:RANGES]]),
        "report": template.report(content.manifest.stem),
    }
    files = {
        "pictures/input.png": png(scene.network_input),
        "pictures/float.png": png(scene.reference.picture),
        "pictures/int8.png": png(int8.picture),
        "pictures/difference.png": png(heatmap(levels, scale)),
        "pictures/report.html": (folder / REPORT_NAME).read_bytes(),
    }
    return Pictures({name: str(html) for name, html in shown.items()}, files)


def png(picture: Picture) -> bytes:
    """Return a picture, uint8 [H, W, 3] in RGB, as a PNG file."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
