"""Write an enlarged picture beside the bicubic enlargement of the same."""

from pathlib import Path

import pyvips

from calib.errors import UsageError
from calib.files import whole_file
from deploy.upscale.photograph import Photograph, vips_reason

_GAP_PX = 8


def comparison_path(out: Path) -> Path:
    """Return where the comparison of an enlarged picture goes.

    >>> str(comparison_path(Path("out/photo.jpg")))
    'out/photo.jpg-compare.png'
    """
    return out.with_name(f"{out.name}-compare.png")


def write_comparison(out: Path, photograph: Photograph) -> Path:
    """Write both side by side, bicubic on the left, and return where.

    Args:
        out: the enlarged picture.
        photograph: what was enlarged.

    Raises:
        UsageError: the file cannot be written.
    """
    path = comparison_path(out)
    try:
        right = pyvips.Image.new_from_file(str(out))
        left = pyvips.Image.new_from_array(photograph.samples, interpretation=right.interpretation)
        if left.format == "ushort" and right.format == "uchar":
            left = left.rshift(8).cast("uchar")
        left = left.resize(
            right.width / left.width, vscale=right.height / left.height, kernel="cubic"
        )
        both = pyvips.Image.arrayjoin([left, right], across=2, shim=_GAP_PX)
        with whole_file(path) as part:
            both.pngsave(str(part))
    except pyvips.Error as error:
        raise UsageError(f"cannot write {path}: {vips_reason(error)}") from error
    return path
