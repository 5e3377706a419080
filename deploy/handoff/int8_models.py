"""Find the QDQ model of a target profile in a build, or make it now.

A build that has no int8 model of the profile holds all that one is made of: the float model and
the calibration table. What is made is what ``build --target PROFILE --calib-table`` would leave,
with the options of the build. It goes into the bundle; the build stays as it was verified.
"""

from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.images import to_input
from calib.sample import verification_pictures
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import model_file_name
from deploy.build.pictures import pictures_of
from deploy.build.quantize import QuantizedModel, Quantizer
from deploy.handoff.kept_models import KeptModels
from deploy.progress import Progress
from quant.passes.equivalence import Probe
from quant.passes.prepared import prepare
from quant.passes.rebatch import with_batch
from quant.targets import find_profile


def int8_model(
    build: Build, profile: str, progress: Progress, kept: KeptModels | None = None
) -> QuantizedModel:
    """Return the int8 model of a profile.

    Args:
        build: an intact build.
        profile: name of the target profile.
        progress: told what is going on, where it has to be made.
        kept: models that were made before; what is made now is put there.

    Raises:
        UsageError: the build has no calibration table, or its options do not suit the profile.
    """
    name = model_file_name(build.manifest.stem, "int8", profile)
    if name in build.models and build.float_graph is not None:
        return QuantizedModel(build.models[name], prepare(build.float_graph, build.plans[name]))
    if build.table is None or build.float_graph is None:
        raise UsageError(
            f"{build.folder} was built without calibration, so it has no int8 model; build it "
            "with --precision int8"
        )
    if kept is not None and (again := kept.find(build, build.float_graph, profile)) is not None:
        progress.note(f"{build.manifest.model} for {profile}: as it was made for another bundle")
        return again
    note = f"{build.manifest.model} was not built for {profile}: making that model now"
    if build.manifest.options.has_budget:
        note += "; the build's budget is not held for it, --target at build time does that"
    progress.note(note)
    tile = build.manifest.network.tile
    picture = verification_pictures(tile.size).patches[0].load()
    probe = Probe(to_input(picture, tile.channels))
    pictures = pictures_of(build.table, tile.size, probe)
    single = GraphIndex(with_batch(build.float_graph.model, 1))
    quantizer = Quantizer(single, build.table, find_profile(profile), pictures, progress)
    made = quantizer.quantize(build.manifest.options.quantization_for(profile))
    made = made.on(build.float_graph)
    if kept is not None:
        kept.keep(build, build.float_graph, profile, made)
    return made


def built_profiles(build: Build) -> tuple[str, ...]:
    """Return the profiles that the build has int8 models of."""
    models = build.manifest.models()
    return tuple(item.target for item in models if item.precision == "int8" and item.target)
