"""Run the intact models of a build on pictures, and choose the ranges that cost them most."""

from collections.abc import Sequence
from contextlib import suppress

from calib.dataset import PatchRef
from calib.errors import GraphError, VerificationError
from calib.images import Picture, to_input, to_picture
from calib.output_kind import shown
from deploy.artifacts.files import Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.progress import Progress
from deploy.report.content import Content, model_label
from deploy.report.pictures import PICTURES, Scene, choose, make_scenes
from deploy.report.ranges import ChosenRange, costliest_ranges
from deploy.runtime.outputs import Outputs
from deploy.runtime.runner import Runner


def draw_scenes(
    content: Content, pictures: Sequence[PatchRef], outputs: Outputs, progress: Progress
) -> tuple[Scene, ...]:
    """Let every model draw the chosen pictures.

    Args:
        content: the build.
        pictures: to choose from.
        outputs: what its models drew a moment ago, if they were run.
        progress: told what is going on.

    Returns:
        One scene per picture, without the models that cannot draw; none where the float model
        cannot.
    """
    models = content.build.models
    if content.build.float_model is None:
        return ()
    patches = {patch.name: patch for patch in pictures}
    parity_db = {name: db for name, db in content.parity_db.items() if name in patches}
    roles = choose(parity_db) if parity_db else [(name, "") for name in list(patches)[:PICTURES]]
    chosen = [(patches[name], role) for name, role in roles]
    files = [item for item in content.manifest.models() if item.path in models]
    drawn: dict[str, list[Picture]] = {}
    with progress.stage("report: drawing pictures", len(files)) as advance:
        for item in files:
            # A file that no runtime loads, or that draws NaN, is a finding of the verification.
            with suppress(GraphError, VerificationError):
                drawn[model_label(item)] = _draw(content, item, [p for p, _ in chosen], outputs)
            advance()
    is_drawn = model_label(content.manifest.float_artifact) in drawn
    return make_scenes(chosen, drawn) if is_drawn else ()


def _draw(
    content: Content, item: Artifact, patches: Sequence[PatchRef], outputs: Outputs
) -> list[Picture]:
    """Return what one file draws of every picture.

    Raises:
        GraphError: the runtime refuses the file.
        VerificationError: it draws NaN or infinity.
    """
    run: Runner | None = None
    channels = content.manifest.network.tile.channels
    pictures = []
    for patch in patches:
        drawn = outputs.output(item.path, patch.name)
        if drawn is None:
            run = run or judged_runner(content.build.files[item.path], item.precision)
            drawn = run(to_input(patch.load(), channels))
        pictures.append(to_picture(shown(drawn, content.manifest.network.output)))
    return pictures


def choose_ranges(content: Content) -> dict[str, tuple[ChosenRange, ...]]:
    """Return, by label of each int8 model, the tensors that their range costs most."""
    table = content.build.table
    if table is None:
        return {}
    prepared = content.checked.prepared
    return {
        model_label(item): costliest_ranges(prepared[item.path], table)
        for item in content.manifest.models()
        if item.path in prepared
    }
