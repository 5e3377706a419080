"""Render a report as the bytes of one HTML file without any outer reference.

Style, script and pictures stand inside; a content security policy in the page forbids it to load
anything. The same content gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from calib.digest import canonical_json
from deploy.artifacts.parity_record import VerifiedOn
from deploy.artifacts.templates import page_environment
from deploy.metrics.decibels import CEILING_DB, decibels, with_unit
from deploy.metrics.layer_sqnr import LayerError, what_sqnr_says, worst_layers
from deploy.metrics.parity import UNSEEN_DB
from deploy.report.content import Content, side_by_side, threshold_db
from deploy.report.pictures import (
    DETAIL_PX,
    Drawing,
    Scene,
    heat_colours,
    heat_scale,
    heatmap,
    picture_uri,
)
from deploy.report.plans import percentile_text, summarize_plan
from deploy.report.plots import WORST, range_plot, sqnr_plot
from deploy.report.ranges import ChosenRange
from deploy.report.sensitivity_plot import sensitivity_plot
from deploy.verify.chart import ChartParity


@dataclass(frozen=True)
class ShownPicture:
    """One drawing as the page holds it.

    Attributes:
        label: of the model.
        uri: the picture.
        alt: the picture in words.
        detail_uri: the square in which models differ most.
        heat_uri: its difference from float; empty for float and input.
        largest: largest difference, in grey levels.
        mean: over the pixels, of the difference in the worst channel of each, in grey levels.
    """

    label: str
    uri: str
    alt: str
    detail_uri: str
    heat_uri: str = ""
    largest: int = 0
    mean: float = 0.0


@dataclass(frozen=True)
class ShownScene:
    """One picture in all its versions: input, float, then the others.

    Attributes:
        scene: what was drawn.
        pictures: as the page holds them.
    """

    scene: Scene
    pictures: tuple[ShownPicture, ...]


@dataclass(frozen=True)
class ShownPictures:
    """The pictures of a page.

    Attributes:
        source: which they are.
        instead: that they are not those that the figures are of, and why; empty where they are.
        scenes: what the models drew of them.
    """

    source: VerifiedOn
    instead: str
    scenes: Sequence[Scene]


@dataclass(frozen=True)
class Measured:
    """What was measured of int8 files beyond their verdict.

    Attributes:
        layers: error of every tensor by file.
        layer_images: names of the pictures that those errors are of.
        charts: how near they come to float on each patch of a test chart.
    """

    layers: Mapping[str, Sequence[LayerError]]
    layer_images: Sequence[str]
    charts: Sequence[ChartParity]


def render(
    content: Content,
    shown: ShownPictures,
    measured: Measured,
    ranges: Mapping[str, Sequence[ChosenRange]],
) -> bytes:
    """Return the page.

    Args:
        content: what is known of the build.
        shown: pictures that its models drew.
        measured: what was measured of the int8 files.
        ranges: the tensors that their range costs most, by label of the int8 model.
    """
    environment = page_environment("deploy.report")
    environment.filters["threshold_db"] = threshold_db
    environment.filters["side_by_side"] = side_by_side
    environment.filters["percentile"] = percentile_text
    environment.filters |= {"decibels": decibels, "with_unit": with_unit}
    scale = heat_scale(shown.scenes)
    with ThreadPoolExecutor() as pool:  # OpenCV encodes without holding the interpreter
        scenes = list(pool.map(partial(_shown, scale=scale), shown.scenes))
    labels = {card.artifact.path: card.label for card in content.cards}
    page = environment.get_template("page.html").render(
        content=content,
        manifest=content.manifest,
        manifest_json=canonical_json(content.manifest.record()).decode(),
        shown=shown,
        scenes=scenes,
        detail_px=DETAIL_PX,
        heat_scale=scale,
        heat_colours=heat_colours(),
        unseen_db=f"{UNSEEN_DB:g}",
        ceiling_db=CEILING_DB,
        layer_images=measured.layer_images,
        charts={
            labels[chart.artifact]: chart for chart in measured.charts if chart.artifact in labels
        },
        layers={
            labels[file]: (sqnr_plot(found), worst_layers(found, WORST), what_sqnr_says(found))
            for file, found in measured.layers.items()
            if found and file in labels
        },
        sensitivities={
            f"int8 {target}": sensitivity_plot(found, content.plans[target].options.promoted)
            for target, found in content.sensitivities.items()
        },
        ranges={name: [range_plot(one) for one in chosen] for name, chosen in ranges.items()},
        plans=[summarize_plan(plan) for plan in content.plans.values()],
    )
    return page.encode()


def _shown(scene: Scene, scale: int) -> ShownScene:
    top, left = scene.detail()
    scale_px = scene.reference.picture.shape[0] // scene.network_input.shape[0]
    enlarged = scene.network_input.repeat(scale_px, axis=0).repeat(scale_px, axis=1)
    height, width = scene.network_input.shape[:2]
    subject = scene.title
    pictures = [
        ShownPicture(
            label="input",
            uri=picture_uri(scene.network_input),
            alt=f"The input of the network: {subject}, {width} by {height} pixels",
            detail_uri=_detail(Drawing("input", enlarged), top, left),
        ),
        ShownPicture(
            label="float",
            uri=picture_uri(scene.reference.picture),
            alt=f"{subject} as the float model draws it",
            detail_uri=_detail(scene.reference, top, left),
        ),
    ]
    for drawing, levels in zip(scene.drawings, scene.differences, strict=True):
        pictures.append(
            ShownPicture(
                label=drawing.label,
                uri=picture_uri(drawing.picture),
                alt=f"{subject} as the {drawing.label} model draws it",
                detail_uri=_detail(drawing, top, left),
                heat_uri=picture_uri(heatmap(levels, scale)),
                largest=int(levels.max()),
                mean=float(levels.mean()),
            )
        )
    return ShownScene(scene, tuple(pictures))


def _detail(drawing: Drawing, top: int, left: int) -> str:
    square = drawing.picture[top : top + DETAIL_PX, left : left + DETAIL_PX]
    return picture_uri(np.ascontiguousarray(square))
