"""The intact models of a build in, what they draw and the ranges behind it out."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from calib.dataset import PatchRef
from calib.errors import GraphError, VerificationError
from calib.images import Picture, to_input, to_picture
from calib.sample import verification_pictures
from deploy.artifacts.files import Artifact
from deploy.metrics.parity import ImageParity, OutputPair
from deploy.progress import Progress
from deploy.report.content import Content, model_label
from deploy.report.pictures import PICTURES, Scene, choose, make_scenes
from deploy.report.ranges import ChosenRange, costliest_ranges
from deploy.runtime.runner import Runner, model_runner


@dataclass
class Album:
    """What models drew, kept so that nothing is drawn twice.

    Attributes:
        references: what the float model drew, uint8 [H, W, 3], by name of the picture.
        candidates: what other models drew, by their file and name of the picture.
    """

    references: dict[str, Picture] = field(default_factory=dict)
    candidates: dict[tuple[str, str], Picture] = field(default_factory=dict)

    def observe(self, candidate: str, _image: ImageParity, drawn: OutputPair) -> None:
        """Keep what a model drew; whoever runs it has its own word to say to a NaN."""
        if drawn.name not in self.references:
            self.references[drawn.name] = to_picture(drawn.reference)
        if np.isfinite(drawn.candidate).all():
            self.candidates[candidate, drawn.name] = to_picture(drawn.candidate)

    def find(self, item: Artifact, name: str) -> Picture | None:
        """Return what a model drew of a picture, or ``None``."""
        if item.precision == "fp32":
            return self.references.get(name)
        return self.candidates.get((item.path, name))


def draw_scenes(content: Content, album: Album, progress: Progress) -> tuple[Scene, ...]:
    """Let every model draw the chosen pictures.

    Returns:
        One scene per picture, without the models that cannot draw; none where the float model
        cannot.
    """
    models = content.build.models
    if content.build.float_model is None:
        return ()
    patches = {patch.name: patch for patch in verification_pictures().patches}
    parity_db = {name: db for name, db in content.parity_db.items() if name in patches}
    roles = choose(parity_db) if parity_db else [(name, "") for name in list(patches)[:PICTURES]]
    chosen = [(patches[name], role) for name, role in roles]
    files = [item for item in content.manifest.models() if item.path in models]
    drawn: dict[str, list[Picture]] = {}
    with progress.stage("report: drawing pictures", len(files)) as advance:
        for item in files:
            # A file that no runtime loads, or that draws NaN, is a finding of the verification.
            with suppress(GraphError, VerificationError):
                drawn[model_label(item)] = _draw(content, item, [p for p, _ in chosen], album)
            advance()
    is_drawn = model_label(content.manifest.float_artifact) in drawn
    return make_scenes(chosen, drawn) if is_drawn else ()


def _draw(
    content: Content, item: Artifact, patches: Sequence[PatchRef], album: Album
) -> list[Picture]:
    """Return what one file draws of every picture.

    Raises:
        GraphError: the runtime refuses the file.
        VerificationError: it draws NaN or infinity.
    """
    run: Runner | None = None
    pictures = []
    for patch in patches:
        picture = album.find(item, patch.name)
        if picture is None:
            is_float = item.precision == "fp32"
            run = run or model_runner(content.build.models[item.path], optimized=is_float)
            picture = to_picture(run(to_input(patch.load())))
        pictures.append(picture)
    return pictures


def choose_ranges(content: Content) -> dict[str, tuple[ChosenRange, ...]]:
    """Return, by label of each int8 model, the tensors that their range costs most."""
    build = content.build
    if build.float_model is None or build.table is None:
        return {}
    return {
        model_label(item): costliest_ranges(build.float_model, build.table, plan)
        for item in content.manifest.models()
        if (plan := content.plans.get(item.target or "")) is not None
    }
