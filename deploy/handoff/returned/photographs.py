"""Find the HR photographs that golden inputs were made from."""

import re
from pathlib import Path

from calib.div2k import evaluation_pairs, image_files, is_div2k


def photographs(folder: Path | None) -> dict[str, Path]:
    """Return HR photographs by name."""
    if folder is None:
        return {}
    if is_div2k(folder):
        return {pair.name: pair.hr for pair in evaluation_pairs(folder)}
    return {path.stem: path for path in image_files(folder)}


def photo_name(source: str) -> str:
    """Return the name that the HR photograph of a golden input has; a crop has none.

    >>> photo_name("0801"), photo_name("night/0801x4.png"), photo_name("cat.png@0,128")
    ('0801', '0801', '')
    """
    if _CROP.search(source):
        return ""
    stem = Path(source).stem
    head, mark, tail = stem.rpartition("x")
    return head if mark and head and tail.isdigit() else stem


_CROP = re.compile(r"@\d+,\d+(/\d+)?$")
