"""Put our ranges into a quantization scheme of nncase, by the names that it shares with ONNX.

The scheme is JSON; of each tensor it has a range, of each weight one for every output channel:

    {"Outputs": [{"Name": "a", "DataRangeMode": "by_tensor", "DataRange": [{"Min": 0, ...}]}, ...]}

A weight's codes are unsigned there. From -128 to 127 times its scale, zero point 128, they mean
what ours mean.
"""

import json
from pathlib import Path

from our_ranges import Range, activation_ranges, weight_ranges


def with_ours(scheme: str, encodings: Path) -> str:
    """Return a scheme with our ranges.

    A tensor that our file has no range of keeps the toolchain's; which those are is printed.

    Args:
        scheme: as nncase exports it.
        encodings: the bundle's, of target ``qnn``.

    Raises:
        SystemExit: no range is ours.
    """
    said = json.loads(scheme)
    ours: dict[str, list[Range]] = {
        **weight_ranges(encodings),
        **{name: [one] for name, one in activation_ranges(encodings).items()},
    }
    outputs, kept = [], []
    for entry in said["Outputs"]:
        ranges = ours.get(entry["Name"], [])
        if len(ranges) != len(entry["DataRange"]):
            kept.append(entry["Name"])
            outputs.append(entry)
            continue
        spans = [
            {**theirs, "Min": low, "Max": high}
            for theirs, (low, high) in zip(entry["DataRange"], ranges, strict=True)
        ]
        outputs.append({**entry, "DataRange": spans})
    replaced = len(outputs) - len(kept)
    print(f"{replaced} ranges are ours; the toolchain's are {', '.join(kept) or 'none'}")
    if not replaced:
        raise SystemExit("no tensor of the quantization scheme has a range of ours")
    return json.dumps({**said, "Outputs": outputs})
