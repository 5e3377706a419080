"""Pair every picture and clip with the file that it is enlarged into; refuse what would collide."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calib.errors import ImageSetError, UsageError
from deploy.upscale.formats import SUFFIXES, format_of
from deploy.upscale.video.containers import CLIP_SUFFIXES, container_of, is_clip, written_suffix


@dataclass(frozen=True)
class PicturePair:
    """A picture, or a clip, and where its enlargement goes.

    Attributes:
        source: the file that is read.
        out: the file that is written.
    """

    source: Path
    out: Path

    @property
    def is_clip(self) -> bool:
        """Whether it is a clip."""
        return is_clip(self.source)


@dataclass(frozen=True)
class PairedFiles:
    """What there is to do.

    Attributes:
        pairs: sorted by name.
        passed_over: files of other kinds in the folder.
    """

    pairs: tuple[PicturePair, ...]
    passed_over: tuple[Path, ...] = ()


def paired_files(
    source: Path, out: Path, *, recursive: bool = False, suffix: str | None = None
) -> PairedFiles:
    """Pair a picture or a clip, or every one of a folder, with its enlargement.

    Args:
        source: a picture, a clip or a folder.
        out: the file to write, or a folder; for a picture a new name without a suffix is one.
        recursive: whether to look into subfolders.
        suffix: of the pictures written, such as ``.png``; ``None``: that of each.

    Raises:
        UsageError: a file would be written over a picture, or two into one.
        ImageSetError: the folder holds no picture.
    """
    if source.is_dir():
        found = _folder(source, out, recursive=recursive, suffix=suffix)
    elif source.exists():
        into = out.is_dir() or not (out.suffix or out.exists())
        target = out / _named(Path(source.name), suffix) if into else out
        if is_clip(source):
            container_of(target)
        else:
            format_of(source)
            format_of(target)
        found = PairedFiles((PicturePair(source, target),))
    else:
        raise UsageError(f"{source}: found no such picture, clip or folder")
    _require_apart(found.pairs)
    return found


def _folder(source: Path, out: Path, *, recursive: bool, suffix: str | None) -> PairedFiles:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; expected a folder for the pictures of {source}")
    inside = out.resolve().is_relative_to(source.resolve())
    if out.resolve() == source.resolve() or (recursive and inside):
        raise UsageError(
            f"{out} lies in {source}, whose pictures are enlarged: a second run would enlarge "
            "them again; choose a folder beside it"
        )
    files = sorted(_visible(source, recursive=recursive))
    known = (*SUFFIXES, *CLIP_SUFFIXES)
    pictures = [path for path in files if path.suffix.lower() in known]
    if not pictures:
        raise ImageSetError(
            f"{source}: found {len(files)} files and none that ends in {' '.join(known)}"
            + ("" if recursive else "; --recursive looks into subfolders")
        )
    pairs = [PicturePair(path, out / _named(path.relative_to(source), suffix)) for path in pictures]
    return PairedFiles(tuple(pairs), tuple(path for path in files if path not in {*pictures}))


def _visible(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder; names that begin with a dot are passed over."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif recursive and path.is_dir() and not path.is_symlink():
            yield from _visible(path, recursive=True)


def _named(path: Path, suffix: str | None) -> Path:
    if is_clip(path):
        return path.with_suffix(written_suffix(path))
    return path if suffix is None else path.with_suffix(suffix)


def _require_apart(pairs: tuple[PicturePair, ...]) -> None:
    """Make sure that each enlargement has a file of its own, and none is a picture to be read."""
    sources = {pair.source.resolve() for pair in pairs}
    by_out = defaultdict(list)
    for pair in pairs:
        if pair.out.resolve() in sources:
            raise UsageError(f"{pair.out} would be written over a picture that is read")
        by_out[str(pair.out.resolve()).casefold()].append(pair)  # as some file systems see names
    for same in by_out.values():
        if len(same) > 1:
            names = ", ".join(pair.source.name for pair in same)
            raise UsageError(f"{names} would all be written to {same[0].out}; rename them")
