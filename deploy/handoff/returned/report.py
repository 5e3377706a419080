"""Report the verdict on returned outputs: a page for people, a record for machines.

The page is one file: pictures are inside it, nothing is fetched, and no script runs.
"""

from typing import Any

import cv2
import numpy as np

from calib.digest import canonical_json
from calib.files import write_atomically
from calib.images import Picture, resize_area
from deploy.artifacts.signature import signature_path
from deploy.artifacts.templates import data_uri, page_environment
from deploy.handoff.returned.place import Place
from deploy.handoff.returned.verdict import Returned
from deploy.metrics.decibels import decibels, with_unit

_THUMB_PX = 224
_GAIN = 8
_QUALITY = 88


def write_report(returned: Returned, place: Place) -> None:
    """Write the page, and its record beside it.

    Args:
        returned: the verdict.
        place: where to write.

    Raises:
        UsageError: a file cannot be written, or the verdict on another return is there.
    """
    record = returned.record()
    place.require_same(record)
    signature_path(place.record).unlink(missing_ok=True)
    write_atomically(place.record, canonical_json(record))
    write_atomically(place.page, returned_page(returned).encode("utf-8"))


def returned_page(returned: Returned) -> str:
    """Return the page's HTML."""
    jinja = page_environment("deploy.handoff.returned")
    jinja.filters |= {"decibels": decibels, "with_unit": with_unit}
    thumb_px = (_THUMB_PX, _THUMB_PX)
    for expected, _ in returned.pictures.values():
        longest = max(expected.shape)
        height, width = (max(1, side * _THUMB_PX // longest) for side in expected.shape[:2])
        thumb_px = (height, width)
    pictures = {name: _views(*pair, thumb_px) for name, pair in returned.pictures.items()}
    return jinja.get_template("returned.html").render(
        returned=returned,
        pictures=pictures,
        gain=_GAIN,
        thumb_px=thumb_px,
        with_photos=any(image.photo for image in returned.images),
    )


def _views(expected: Picture, found: Picture, size: tuple[int, int]) -> dict[str, str]:
    """Return float, returned and their difference, each as a data URI."""
    distance = np.abs(expected.astype(np.int16) - found.astype(np.int16)) * _GAIN
    difference = np.clip(distance, 0, 255).astype(np.uint8)
    return {
        "float": _data_uri(expected, size),
        "returned": _data_uri(found, size),
        "difference": _data_uri(difference, size),
    }


def _data_uri(picture: Picture, size: tuple[int, int]) -> str:
    small: Any = resize_area(picture, *size)
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    return data_uri(encoded.tobytes(), "image/jpeg")
