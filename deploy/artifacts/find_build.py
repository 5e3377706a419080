"""Find builds: all below a folder, or the one that is asked for.

Every command that takes builds looks for them here. A build is a folder with a manifest; it is
known by its folder's name, by its path below the folder of builds, or by any other path.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from calib.errors import UsageError
from calib.meant import meant
from deploy.artifacts.files import MANIFEST_NAME, UNFINISHED_NAME
from deploy.artifacts.manifest import CHECK_BUNDLE, Manifest, read_manifest, written_as

_OUTPUTS = {".npy", ".raw"}  # of a build that is not finished there may be .npz


def build_folders(path: Path) -> list[Path]:
    """Return the folders of builds at or under ``path``, sorted, unfinished ones not.

    Bundles have a manifest too: they are passed over where there is a build beside them, and else
    left to who reads it.
    """
    folders = _with_manifest(path)
    return [item for item in folders if written_as(item / MANIFEST_NAME) != "bundle"] or folders


def find_builds(path: Path) -> list[Path]:
    """List the folders of all builds at or under ``path``, sorted, for who judges them.

    Nothing is passed over there: what says that it is a bundle is left to who reads it.

    Raises:
        UsageError: ``path`` is no folder, there is no build under it, or it is a bundle.
    """
    _require_folder(path)
    folders = _with_manifest(path)
    if not folders:
        remedy = "an interrupted build leaves none: run 'esrdeploy build' again"
        if any(file.suffix in _OUTPUTS for file in path.rglob("*")):
            remedy = f"'esrdeploy verify --returned {path} BUNDLE' judges a vendor's outputs"
        raise UsageError(
            f"found no {MANIFEST_NAME} under {path}, so there is nothing to verify or report; "
            + remedy
        )
    return folders


def find_build(
    builds: Path, model: str | None, made_by: Callable[[str], str]
) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of the build that ``--builds`` and ``--model`` name.

    Args:
        builds: folder of builds, or a build itself.
        model: name of a build in it, or a path; ``None``: the only one there is.
        made_by: says of a name how a build of it is made.

    Raises:
        UsageError: there is no such build, or there are several.
        VerificationError: its manifest is broken.
    """
    found = _matching(builds, model)
    if len(found) == 1:
        return _read(found[0])
    known = _names(found or build_folders(builds), builds)
    of_model = "" if model is None else f" of {model}"
    if found:
        raise UsageError(
            f"found several builds{of_model} in {builds}: {', '.join(known)}; choose one with "
            "--model"
        )
    made = "run 'esrdeploy build --model NAME' first" if model is None else made_by(model)
    raise UsageError(
        f"found no build{of_model} in {builds}{', but ' if known else ''}{', '.join(known)}; "
        f"{made}, or name the folder of your builds with --builds{meant(model or '', known)}"
    )


def find_several(
    builds: Path, models: Sequence[str], made_by: Callable[[str], str]
) -> dict[Path, Manifest]:
    """Return the manifests of the builds that are named, or of all there are, by their folders.

    Args:
        builds: folder of builds, or a build itself.
        models: as of :func:`find_build`, in their order; empty: all.
        made_by: says of a name how a build of it is made.

    Raises:
        UsageError: one is not there, or no build is.
        VerificationError: a manifest is broken.
    """
    folders = () if models else build_folders(builds)
    if folders:
        return dict(map(_read, folders))
    return dict(find_build(builds, name, made_by) for name in models or (None,))


def only_build(path: Path) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of the build at ``path``, or the only one below it.

    Raises:
        UsageError: there is none, or there are several, or ``path`` is a bundle.
        VerificationError: its manifest is broken.
    """
    _require_folder(path)
    found = _matching(path, None)
    if len(found) == 1:
        return _read(found[0])
    if not found:
        raise UsageError(
            f"found no build in {path}; run 'esrdeploy build' first, or name the folder of a build"
        )
    raise UsageError(
        f"found several builds in {path}: {', '.join(_names(found, path))}; name the folder of "
        f"one, such as {found[0]}"
    )


def _require_folder(path: Path) -> None:
    if path.suffix == ".zip" and path.is_file():
        raise UsageError(f"{path} is a zip, not a folder of builds; {CHECK_BUNDLE}")
    if not path.is_dir():
        raise UsageError(f"found no folder {path}; run 'esrdeploy build' first or name its output")


def _matching(builds: Path, model: str | None) -> list[Path]:
    """Return what may be meant: a name below ``builds`` comes before the same path elsewhere."""
    place = builds / (model or "")
    if _has_manifest(place):
        return [place]
    folders = build_folders(builds)
    if model is None:
        return folders
    named = [folder for folder in folders if folder.name == model]
    return named or ([Path(model)] if _has_manifest(Path(model)) else [])


def _with_manifest(path: Path) -> list[Path]:
    folders = sorted(manifest.parent for manifest in path.rglob(MANIFEST_NAME))
    return [folder for folder in folders if folder.name != UNFINISHED_NAME]


def _has_manifest(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file()


def _names(folders: Sequence[Path], builds: Path) -> list[str]:
    """Return what ``--model`` takes for each of some builds below a folder."""
    return [
        folder.name if folder == builds else folder.relative_to(builds).as_posix()
        for folder in folders
    ]


def _read(folder: Path) -> tuple[Path, Manifest]:
    return folder, read_manifest(folder / MANIFEST_NAME)
