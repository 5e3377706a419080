"""Find the QDQ model of a target profile in a build, or make it now.

A build that has no int8 model of the profile holds all that one is made of: the float model and
the calibration table. What is made is what ``build --target PROFILE --calib-table`` would leave,
with the options of the build. It goes into the bundle; the build stays as it was verified.
"""

from dataclasses import replace
from typing import Literal

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
from quant.plan import QuantOptions
from quant.targets import find_profile

_WIDE: Literal[32] = 32


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
    note = f"{build.manifest.model} was not built for {profile}: making that model now"
    if build.manifest.options.has_budget:
        note += "; the build's budget is not held for it, --target at build time does that"
    options = build.manifest.options.quantization_for(profile)
    return _made(build, profile, options, progress, kept, note)


def grid_model(
    build: Build,
    profile: str,
    int8: QuantizedModel,
    progress: Progress,
    kept: KeptModels | None = None,
) -> QuantizedModel:
    """Return the int8 model whose weights a float file for other quantizers takes over.

    That is the model of the profile itself where 16-bit sums did not limit its weights. They are
    CPUs' alone: where they did, weights are rounded again without.

    Args:
        build: an intact build.
        profile: name of the target profile.
        int8: what :func:`int8_model` returned for it.
        progress: told what is going on, where weights are rounded again.
        kept: as for :func:`int8_model`.
    """
    if int8.plan.options.accumulator_bits == _WIDE:
        return int8
    note = (
        f"{build.manifest.model}: rounding weights without the limit of CPUs, for tools that "
        "quantize by themselves"
    )
    options = build.manifest.options.quantization_for(profile)
    return _made(build, profile, replace(options, accumulator_bits=_WIDE), progress, kept, note)


def _made(  # noqa: PLR0913, PLR0917  # all of them say what is made
    build: Build,
    profile: str,
    options: QuantOptions,
    progress: Progress,
    kept: KeptModels | None,
    note: str,
) -> QuantizedModel:
    """Quantize a build's float model, or find it as it was quantized for another bundle."""
    if build.table is None or build.float_graph is None:
        raise UsageError(
            f"{build.folder} was built without calibration, so it has no int8 model; build it "
            "with --precision int8"
        )
    if kept is not None:
        again = kept.find(build, build.float_graph, profile, options)
        if again is not None:
            model = build.manifest.model
            progress.note(f"{model} for {profile}: as it was made for another bundle")
            return again
    progress.note(note)
    tile = build.manifest.network.tile
    picture = verification_pictures(tile.size).patches[0].load()
    probe = Probe(to_input(picture, tile.channels))
    pictures = pictures_of(build.table, tile.size, probe)
    single = GraphIndex(with_batch(build.float_graph.model, 1))
    quantizer = Quantizer(single, build.table, find_profile(profile), pictures, progress)
    made = quantizer.quantize(options).on(build.float_graph)
    if kept is not None:
        kept.keep(build, build.float_graph, profile, options, made)
    return made


def built_profiles(build: Build) -> tuple[str, ...]:
    """Return the profiles that the build has int8 models of."""
    models = build.manifest.models()
    return tuple(item.target for item in models if item.precision == "int8" and item.target)
