"""Rename the state dict keys of older ESRGAN code to those of RRDBNet.

Three spellings of the same network are in circulation:

    BasicSR, Real-ESRGAN   body.0.rdb1.conv1           conv_body   conv_up1  conv_hr
    ESRGAN, 2019           RRDB_trunk.0.RDB1.conv1     trunk_conv  upconv1   HRconv
    ESRGAN, 2018           model.1.sub.0.RDB1.conv1.0  model.1.sub.23  model.3  model.8

The last numbers its layers: ``conv_first`` is 0, the trunk 1, the k-th doubling ``3 k``. The
largest number L is ``conv_last``, and ``L - 2`` is ``conv_hr``: 10 and 8 behind two doublings.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

Tensor = TypeVar("Tensor")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"RRDB_trunk\.(\d+)\.RDB(\d)\.(.+)", r"body.\1.rdb\2.\3"),
        (r"trunk_conv\.(weight|bias)", r"conv_body.\1"),
        (r"upconv(\d)\.(weight|bias)", r"conv_up\1.\2"),
        (r"HRconv\.(weight|bias)", r"conv_hr.\1"),
        (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(.+)", r"body.\1.rdb\2.conv\3.\4"),
        (r"model\.1\.sub\.\d+\.(weight|bias)", r"conv_body.\1"),
    )
)
_NUMBERED = re.compile(r"model\.(\d+)\.(weight|bias)")
_NUMBERED_TRUNK = "model.1.sub."


def current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the keys of today; keys of no known spelling stay.

    If two keys would become one, nothing is renamed: such a file is no old checkpoint.

    >>> current_names({"RRDB_trunk.3.RDB1.conv5.bias": 1, "HRconv.weight": 2, "other": 3})
    {'body.3.rdb1.conv5.bias': 1, 'conv_hr.weight': 2, 'other': 3}
    >>> list(current_names({"model.1.sub.1.bias": 1, "model.5.bias": 2, "model.7.bias": 3}))
    ['conv_body.bias', 'conv_hr.bias', 'conv_last.bias']
    """
    numbers = [int(match.group(1)) for name in tensors if (match := _NUMBERED.fullmatch(name))]
    numbered = any(name.startswith(_NUMBERED_TRUNK) for name in tensors)
    last = max(numbers, default=0) if numbered else 0
    renamed = {_current_name(name, last): tensor for name, tensor in tensors.items()}
    return renamed if len(renamed) == len(tensors) else dict(tensors)


def _current_name(name: str, last: int) -> str:
    if last and (match := _NUMBERED.fullmatch(name)):
        number = int(match.group(1))
        places = {0: "conv_first", last - 2: "conv_hr", last: "conv_last"}
        if number % 3 == 0 and 0 < number < last - 2:
            places[number] = f"conv_up{number // 3}"
        return f"{places.get(number, f'model.{number}')}.{match.group(2)}"
    for pattern, replacement in _RULES:
        if match := pattern.fullmatch(name):
            return match.expand(replacement)
    return name
