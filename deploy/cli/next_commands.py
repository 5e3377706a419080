"""Name the commands that come after a build or a bundle, with the words that it needs."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.artifacts.manifest import Manifest
    from deploy.handoff.vendor import Vendor


def next_commands(
    folder: Path,
    manifest: "Manifest",
    original: Path | None,
    images: Path | None,
    *,
    reported: bool = True,
    passed: bool = True,
    chips: Sequence[str] = (),
    before: Collection[str] = (),
) -> list[str]:
    """Return the command lines that verify a build, measure it, and hand it over.

    Each can be run as it stands, as long as what it names lies where it does now.

    Args:
        folder: of the build.
        manifest: of the build.
        original: the user's checkpoint or ONNX file that it was made from, if there is one.
        images: folder of the user's pictures that it was verified on, if there is one.
        reported: whether its report is made; where it is not, that comes next too.
        passed: whether it was verified; what was not is handed over to nobody.
        chips: targets in the user's words, which may be names of chips.
        before: targets that it had already.
    """
    own = [] if images is None else ["--images", str(images)]
    option = "--weights" if manifest.weights.onnx is None else "--onnx"
    made_from = [] if original is None else [option, str(original)]
    lines = [["verify", str(folder), *made_from, *own]]
    if not reported:
        lines.append(["report", str(folder), *own])
    if images is not None:
        lines.append(["compare", str(images), "--model", str(folder)])
    lines.append(["bench", "--model", str(folder)])
    shipped = manifest.calibration is not None and passed
    asked, others = takers_of(manifest, chips, before) if shipped else ({}, [])
    if not asked:
        return [_line(line) for line in lines]
    remarks = [] if images is None else ["puts some of those pictures into the bundle"]
    if others:
        verb = "takes" if len(others) == 1 else "take"
        remarks.append(f"{' and '.join(others)} {verb} int8 files of it too")
    packed = _line([*_packed(folder, manifest, asked, images), *own])
    return [*map(_line, lines), f"{packed}  # {'; '.join(remarks)}" if remarks else packed]


def _packed(
    folder: Path, manifest: "Manifest", asked: Mapping[str, str], images: Path | None
) -> list[str]:
    """Return the words of a ``handoff`` for those asked for.

    Args:
        folder: of the build.
        manifest: of the build.
        asked: word by vendor.
        images: folder of the pictures that golden vectors are taken from.
    """
    from deploy.handoff.usual_place import usual_path

    line = ["handoff", *(part for word in asked.values() for part in ("--vendor", word))]
    if usual_path(folder, manifest, asked).exists():
        line += _elsewhere(folder, asked, images)
    return [*line, str(folder)]


def _elsewhere(folder: Path, vendors: Collection[str], images: Path | None) -> list[str]:
    """Return the option that names a bundle's place, where another is lost at the usual one."""
    from deploy.handoff.golden import FEWEST, golden_pictures
    from deploy.handoff.make import open_build
    from deploy.handoff.usual_place import first_place, usual_path

    build = open_build(folder)
    place = first_place(build, vendors, golden_pictures(build, images, FEWEST))
    usual = place == usual_path(build.folder, build.manifest, vendors)
    return [] if usual else ["--out", str(place)]


def after_handoff(
    bundle: Path,
    vendors: Sequence[str],
    *,
    judged: bool = True,
    scaled_by_us: Collection[str] = (),
) -> list[str]:
    """Return the command lines that check a bundle, and judge what comes back for it.

    Args:
        bundle: the zip.
        vendors: whom it is for; where they are several, the return is one's.
        judged: whether what comes back can be judged, as pictures can.
        scaled_by_us: those of them whose tools choose their own scales, but can run a file of the
            bundle that has ours.
    """
    check = _line(["handoff", "--check", str(bundle)])
    if not judged:
        return [check]
    whose, remark = [], "OUTPUTS: the folder that comes back"
    if len(vendors) > 1:
        whose = ["--vendor", vendors[0]]
        remark += f" from {vendors[0]}; likewise {', '.join(vendors[1:])}"
    own = [name for name in vendors if name in scaled_by_us]
    if own:
        remark += f"; with --scales ours where {' or '.join(own)} ran a file with our scales"
    judge = _line(["verify", "--returned", "OUTPUTS", str(bundle), *whose])
    return [check, f"{judge}  # {remark}"]


def _line(words: Sequence[str]) -> str:
    return shlex.join(["esrdeploy", *words])


def takers_of(
    manifest: "Manifest", chips: Sequence[str], before: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Return the vendors that a build is for, and the others that take int8 files of it.

    It is for those whose chip was named, and of each other target for the vendor of that name, or
    else for every vendor that takes it. A target that was named by the maker of a chip is for that
    maker alone. Vendors whose tools quantize any float file, and take no target's, are named by
    nobody but the user.

    Args:
        manifest: of the build.
        chips: some of its targets in the user's words: a chip's maker gets the bundle of that
            vendor, not that of the target's namesake.
        before: targets that the build had already: for whom is not known, so that the namesake
            gets a bundle beside the maker.

    Returns:
        The user's word by vendor, and names of the others; all of them take such a build.
    """
    from deploy.handoff.vendor_limits import takes
    from deploy.handoff.vendors import vendor_name, vendors
    from quant.targets import find_profile

    taking = {name: one for name, one in vendors().items() if takes(one, manifest)}
    targets = {*manifest.options.targets}
    of_makers = {find_profile(chip).name for chip in chips if vendor_name(chip) != chip}
    for_anyone = targets - of_makers | targets & {*chips, *before}
    meant = {vendor_name(chip): chip for chip in chips}
    found, others = {*meant}, set()
    for target in for_anyone:
        its, more = _takers(target, taking)
        found |= {*its}
        others |= {*more}
    asked = {name: meant.get(name, name) for name in taking if name in found}
    return asked, sorted(others - {*asked})


def _takers(target: str, vendors: "Mapping[str, Vendor]") -> tuple[list[str], list[str]]:
    """Return the vendors that a target is for, and the others that take its file.

    >>> from deploy.handoff.vendors import vendors
    >>> _takers("qnn", vendors()), _takers("ort", vendors())
    ((['qnn'], ['rknn', 'web']), (['web'], []))
    """
    named = target.partition("-")[0]
    takers = [name for name, vendor in vendors.items() if target in vendor.profiles]
    if named not in takers:
        return takers, []
    return [named], [name for name in takers if name != named]
