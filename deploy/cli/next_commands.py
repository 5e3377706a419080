"""Name the commands that come after a build, with the words that this build needs."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.artifacts.manifest import Manifest


def next_commands(
    folder: Path, manifest: "Manifest", weights: Path | None, images: Path | None
) -> list[str]:
    """Return the command lines that verify a build, show it again, and hand it over.

    Args:
        folder: of the build.
        manifest: of the build.
        weights: the user's checkpoint, if there is one.
        images: folder of the user's pictures that it was verified on, if there is one.
    """
    own = [] if images is None else ["--images", str(images)]
    checkpoint = [] if weights is None else ["--weights", str(weights)]
    lines = [["verify", str(folder), *checkpoint, *own], ["report", str(folder), *own]]
    vendors = namesakes(manifest.options.targets) if manifest.calibration is not None else []
    asked = [word for name in vendors for word in ("--vendor", name)]
    if asked:
        lines.append(["handoff", *asked, str(folder)])
    return [shlex.join(["esrdeploy", *line]) for line in lines]


def namesakes(targets: Collection[str]) -> list[str]:
    """Return the vendors that targets are named after, in order of their names.

    >>> namesakes(["ort", "qnn-w8a16", "openvino"])
    ['openvino', 'qnn']
    """
    from deploy.handoff.vendors import vendors

    named = {target.partition("-")[0] for target in targets}
    return [name for name in vendors() if name in named]
