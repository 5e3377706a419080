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
    chips: Sequence[str] = (),
) -> list[str]:
    """Return the command lines that verify a build, measure it, and hand it over.

    Args:
        folder: of the build.
        manifest: of the build.
        original: the user's checkpoint or ONNX file that it was made from, if there is one.
        images: folder of the user's pictures that it was verified on, if there is one.
        reported: whether its report is made; where it is not, that comes next too.
        chips: targets in the user's words, which may be names of chips.
    """
    own = [] if images is None else ["--images", str(images)]
    option = "--weights" if manifest.weights.onnx is None else "--onnx"
    made_from = [] if original is None else [option, str(original)]
    lines = [["verify", str(folder), *made_from, *own]]
    if not reported:
        lines.append(["report", str(folder), *own])
    if images is not None:
        where = [] if str(folder.parent) == "dist" else ["--builds", str(folder.parent)]
        lines.append(["compare", str(images), "--model", manifest.stem, *where])
    lines.append(["bench", "--model", str(folder)])
    takers = takers_of(manifest.options.targets, chips) if manifest.calibration is not None else []
    asked = [word for name in takers for word in ("--vendor", name)]
    if not asked:
        return [_line(line) for line in lines]
    remark = "" if images is None else "  # puts some of those pictures into the bundle"
    return [*map(_line, lines), _line(["handoff", *asked, str(folder), *own]) + remark]


def after_handoff(bundle: Path, vendors: Sequence[str], *, judged: bool = True) -> list[str]:
    """Return the command lines that check a bundle, and judge what comes back for it.

    Args:
        bundle: the zip.
        vendors: whom it is for; where they are several, the return is one's.
        judged: whether what comes back can be judged, as pictures can.
    """
    check = _line(["handoff", "--check", str(bundle)])
    if not judged:
        return [check]
    whose, remark = [], "OUTPUTS: the folder that comes back"
    if len(vendors) > 1:
        whose = ["--vendor", vendors[0]]
        remark += f" from {vendors[0]}; likewise {', '.join(vendors[1:])}"
    judge = _line(["verify", "--returned", "OUTPUTS", str(bundle), *whose])
    return [check, f"{judge}  # {remark}"]


def _line(words: Sequence[str]) -> str:
    return shlex.join(["esrdeploy", *words])


def takers_of(targets: Collection[str], chips: Sequence[str]) -> list[str]:
    """Return the vendors that targets were built for, in order of their names.

    Args:
        targets: of a build.
        chips: some of them in the user's words: a chip's maker gets the bundle of that vendor, not
            that of the target's namesake.

    >>> takers_of(["qnn", "tensorrt"], ["rockchip"])
    ['rknn', 'tensorrt']
    """
    from deploy.handoff.vendors import vendor_name, vendors
    from quant.targets import find_profile

    meant = {vendor_name(chip) for chip in chips} & {*vendors()}
    of_makers = {find_profile(chip).name for chip in chips if vendor_name(chip) != chip}
    rest = {*targets} - of_makers | {*targets} & {*chips}
    return sorted(meant | {*namesakes(rest)})


def namesakes(targets: Collection[str]) -> list[str]:
    """Return the vendors that targets are named after, in order of their names.

    >>> namesakes(["ort", "qnn-w8a16", "openvino"])
    ['openvino', 'qnn']
    """
    from deploy.handoff.vendors import vendors

    named = {target.partition("-")[0] for target in targets}
    return [name for name in vendors() if name in named]
