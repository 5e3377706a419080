"""The intact models of a build in, what they draw and what they make of every tensor out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from calib.dataset import PatchRef
from calib.images import Picture, to_input, to_picture
from deploy.artifacts import Artifact
from deploy.layers import LayerError, layer_errors
from deploy.parity import Drawn, ImageParity, Runner
from deploy.progress import Progress
from deploy.report.content import Content, model_label
from deploy.report.pictures import PICTURES, Scene, choose, make_scenes
from deploy.running import model_runner
from deploy.verify import verification_pictures


@dataclass
class Album:
    """What models drew, kept so that nothing is drawn twice.

    Attributes:
        references: what the float model drew, uint8 [H, W, 3], by name of the picture.
        candidates: what other models drew, by their file and name of the picture.
    """

    references: dict[str, Picture] = field(default_factory=dict)
    candidates: dict[tuple[str, str], Picture] = field(default_factory=dict)

    def observe(self, candidate: str, _image: ImageParity, drawn: Drawn) -> None:
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
        One scene per picture, without the models that draw NaN; none where the float model is
        damaged.
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
            pictures = _draw(content, item, [patch for patch, _ in chosen], album)
            if pictures is not None:
                drawn[model_label(item)] = pictures
            advance()
    return make_scenes(chosen, drawn)


def _draw(
    content: Content, item: Artifact, patches: Sequence[PatchRef], album: Album
) -> list[Picture] | None:
    """Return what one file draws of every picture, or ``None`` if it draws NaN or infinity."""
    run: Runner | None = None
    pictures = []
    for patch in patches:
        picture = album.find(item, patch.name)
        if picture is None:
            is_float = item.precision == "fp32"
            run = run or model_runner(content.build.models[item.path], optimized=is_float)
            output = run(to_input(patch.load()))
            if not np.isfinite(output).all():
                return None
            picture = to_picture(output)
        pictures.append(picture)
    return pictures


def measure_layers(content: Content, progress: Progress) -> dict[str, tuple[LayerError, ...]]:
    """Measure the error of every tensor of every int8 model on one picture.

    Returns:
        Errors in graph order by the model's label; of the models whose plan is intact.
    """
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
            found[model_label(item)] = layer_errors(
                build.float_model, build.models[item.path], plan, [probe], on_step=advance
            )
    return found
