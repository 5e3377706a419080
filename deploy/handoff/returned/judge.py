"""Judge a vendor's outputs against the bundle they were made from, with reasons.

Each returned output is held against what the float network gives (the verdict) and against our
own int8 of the same input (whose work is nearer). One that is far off is looked at for the usual
slips between two machines, and named.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from calib.errors import UsageError
from deploy.handoff.bundle_manifest import BundleManifest, VendorRecord, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.returned.files import FORMS, match_files
from deploy.handoff.returned.float_run import find_float_run
from deploy.handoff.returned.limit import decide
from deploy.handoff.returned.output_judge import OutputJudge
from deploy.handoff.returned.quantization import folder_quantization
from deploy.handoff.returned.request import ReturnedRequest
from deploy.handoff.returned.saturated import find_saturation
from deploy.handoff.returned.verdict import Returned
from deploy.progress import Progress


def judge_returned(request: ReturnedRequest, progress: Progress) -> Returned:
    """Judge what a vendor returned.

    Raises:
        UsageError: a folder or the bundle is not there.
        VerificationError: the bundle is damaged, or not for this vendor.
    """
    with opened(request.bundle) as root:
        manifest = read_contents(root)
        manifest.network.require_picture("'verify --returned'")
        vendor = request.maker or manifest.vendor(request.vendor)
        profile = _profile(request, manifest, vendor)
        names = request.names or [vector.name for vector in manifest.golden]
        matches = match_files(request.folder, names, {item.sha256 for item in manifest.files})
        reading = request.reading
        if manifest.network.form.layout == "nhwc":
            reading = replace(reading, layout="nhwc")
        if reading.quantization is None:
            reading = replace(reading, quantization=folder_quantization(request.folder))
        limit = decide(request.precision, profile, vendor, request.scales)
        judge = OutputJudge(root, manifest, limit, request, reading)
        problems = [_missing(name, matches.called) for name in matches.missing]
        for name, paths in matches.twice.items():
            listed = ", ".join(path.relative_to(request.folder).as_posix() for path in paths)
            problems.append(f"twice: {listed} all belong to the golden input {name}")
        strays = {path: judge.stray(path) for path in matches.extra}
        problems += filter(None, strays.values())
        beside = sorted([*matches.beside, *(path for path, line in strays.items() if not line)])
        with progress.stage("comparing returned outputs", len(matches.files)) as advance:
            for name, path in matches.files.items():
                problems += judge.look_at(name, path)
                advance()
        explained = judge.unrelated()
        if request.precision == "int8" and manifest.saturable[profile]:
            explained = explained or find_saturation(root, manifest, profile, judge.worst, progress)
        explained = explained or find_float_run(root, manifest, judge.refused, progress)
        return Returned(
            manifest.model,
            limit,
            request.folder.resolve().name,
            tuple(judge.images),
            tuple(problems),
            judge.pictures,
            explained,
            tuple(path.as_posix() for path in matches.own),
            tuple(path.as_posix() for path in beside),
        )


def _missing(name: str, called: Mapping[str, Path]) -> str:
    """Say that a golden input has no output, and which file of another form has its name."""
    line = f"missing: no file for the golden input {name}"
    if name not in called:
        return line
    return f"{line}; {called[name].as_posix()} is in no form that is read: send {FORMS}"


def _profile(request: ReturnedRequest, manifest: BundleManifest, vendor: VendorRecord) -> str:
    profile = request.profile or vendor.profile
    if profile not in manifest.int8_models:
        raise UsageError(
            f"the bundle has no int8 model {profile!r}; choose one of "
            f"{', '.join(manifest.int8_models)}"
        )
    return profile
