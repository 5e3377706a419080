"""Name the commands that come after a build or a bundle, with the words that it needs."""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.artifacts.manifest import Manifest


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
    asked = {}
    if manifest.calibration is not None and passed:
        asked = takers_of(manifest.options.targets, chips, before)
    packed = _packed(folder, manifest, asked, images)
    if packed is None:
        return [_line(line) for line in lines]
    remark = "" if images is None else "  # puts some of those pictures into the bundle"
    return [*map(_line, lines), _line([*packed, *own]) + remark]


def _packed(
    folder: Path, manifest: "Manifest", asked: dict[str, str], images: Path | None
) -> list[str] | None:
    """Return the words of a ``handoff`` for those asked for.

    Args:
        folder: of the build.
        manifest: of the build.
        asked: word by vendor.
        images: folder of the pictures that golden vectors are taken from.

    Returns:
        ``None`` where the build was made for no vendor that can take it.
    """
    from deploy.handoff.usual_place import usual_path
    from deploy.handoff.vendor_limits import takes
    from deploy.handoff.vendors import vendors

    words = {
        name: word
        for name, word in sorted(asked.items())
        if name in vendors() and takes(vendors()[name], manifest)
    }
    if not words:
        return None
    line = ["handoff", *(part for word in words.values() for part in ("--vendor", word))]
    if usual_path(folder, manifest, words).exists():
        line += _elsewhere(folder, words, images)
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
    targets: Collection[str], chips: Sequence[str], before: Collection[str] = ()
) -> dict[str, str]:
    """Return the vendors that targets were built for, each with the user's word for it.

    Args:
        targets: of a build.
        chips: some of them in the user's words: a chip's maker gets the bundle of that vendor, not
            that of the target's namesake.
        before: targets that the build had already: for whom is not known, so that the namesake
            gets a bundle beside the maker.

    >>> takers_of(["qnn", "tensorrt"], ["rockchip"])
    {'rknn': 'rockchip', 'tensorrt': 'tensorrt'}
    """
    from deploy.handoff.vendors import vendor_name, vendors
    from quant.targets import find_profile

    meant = {vendor_name(chip): chip for chip in chips}
    of_makers = {find_profile(chip).name for chip in chips if vendor_name(chip) != chip}
    rest = {*targets} - of_makers | {*targets} & {*chips, *before}
    words = {name: meant.get(name, name) for name in {*meant, *namesakes(rest)}}
    return {name: words[name] for name in vendors() if name in words}


def namesakes(targets: Collection[str]) -> list[str]:
    """Return the vendors that targets are named after, in order of their names.

    >>> namesakes(["ort", "qnn-w8a16", "openvino"])
    ['openvino', 'qnn']
    """
    from deploy.handoff.vendors import vendors

    named = {target.partition("-")[0] for target in targets}
    return [name for name in vendors() if name in named]
