"""A build and a target profile in, the QDQ model of that profile out: the build's, or made now.

A build that has no int8 model of the profile holds all that one is made of: the float model and
the calibration table. What is made is what ``build --target PROFILE --calib-table`` would leave,
with the options of the build. It goes into the bundle alone; the build stays as it was verified.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from calib.errors import UsageError
from calib.images import to_input
from calib.sample import verification_pictures
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import model_file_name, plan_file_name
from deploy.build.quantize import Quantizer
from deploy.build.write_models import pictures_of, write_int8
from deploy.progress import Progress
from quant.passes.equivalence import Probe
from quant.plan import QuantPlan
from quant.targets import find_profile


@dataclass(frozen=True, eq=False)
class Quantized:
    """An int8 model with the plan it follows.

    Attributes:
        profile: name of the target profile.
        model: the QDQ model.
        plan: scales and zero points by tensor.
    """

    profile: str
    model: onnx.ModelProto
    plan: QuantPlan


def quantized(build: Build, profile: str, progress: Progress) -> Quantized:
    """Return the int8 model of a profile.

    Args:
        build: an intact build.
        profile: name of the target profile.
        progress: told what is going on, where it has to be made.

    Raises:
        UsageError: the build has no calibration table, or its options do not suit the profile.
    """
    name = model_file_name(build.manifest.model, "int8", profile)
    if name in build.models:
        return Quantized(profile, build.models[name], _read_plan(build.folder, build, profile))
    if build.table is None or build.float_model is None:
        raise UsageError(
            f"{build.folder} was built without calibration, so it has no int8 model; build it "
            "with --precision int8"
        )
    note = f"{build.manifest.model} was not built for {profile}: making that model now"
    if build.manifest.options.budget is not None:
        note += "; the build's budget is not held for it, --target at build time does that"
    progress.note(note)
    probe = Probe(to_input(verification_pictures().patches[0].load()))
    quantizer = Quantizer(
        build.float_model,
        build.table,
        find_profile(profile),
        pictures_of(build.table, probe),
        progress,
    )
    options = build.manifest.options.quantization
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_int8(folder, build.manifest.model, quantizer, options, budget=None)
        return Quantized(profile, onnx.load(folder / name), _read_plan(folder, build, profile))


def built_profiles(build: Build) -> tuple[str, ...]:
    """Return the profiles that the build has int8 models of."""
    models = build.manifest.models()
    return tuple(item.target for item in models if item.precision == "int8" and item.target)


def _read_plan(folder: Path, build: Build, profile: str) -> QuantPlan:
    path = folder / plan_file_name(build.manifest.model, profile)
    return QuantPlan.parse(path.read_bytes(), path.name)
