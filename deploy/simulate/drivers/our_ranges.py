"""Read our ranges from the encodings of a bundle for Qualcomm, by the names of tensors.

AIMET's JSON has of each tensor, or of each channel of a weight, a scale, an offset (minus the zero
point) and a width in bits.
"""

import json
from pathlib import Path

Range = tuple[float, float]


def activation_ranges(encodings: Path) -> dict[str, Range]:
    """Return the range of each activation."""
    return {name: ranges[0] for name, ranges in _ranges(encodings, "activation_encodings").items()}


def weight_ranges(encodings: Path) -> dict[str, list[Range]]:
    """Return the ranges of each weight, by output channel."""
    return _ranges(encodings, "param_encodings")


def _ranges(encodings: Path, kind: str) -> dict[str, list[Range]]:
    found = {}
    for entry in json.loads(encodings.read_text(encoding="utf-8"))[kind]:
        most = 2 ** entry["bw"] - 1
        steps = zip(entry["scale"], entry["offset"], strict=True)
        found[entry["name"]] = [(scale * low, scale * (low + most)) for scale, low in steps]
    return found
