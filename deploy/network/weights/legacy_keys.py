"""Rename the state dict keys of older ESRGAN code to those of RRDBNet.

Three spellings of the same network are in circulation:

    BasicSR, Real-ESRGAN   body.0.rdb1.conv1           conv_body   conv_up1  conv_hr
    ESRGAN, 2019           RRDB_trunk.0.RDB1.conv1     trunk_conv  upconv1   HRconv
    ESRGAN, 2018           model.1.sub.0.RDB1.conv1.0  model.1.sub.23  model.3  model.8

each possibly behind the ``module.`` that torch's DataParallel puts in front.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

Tensor = TypeVar("Tensor")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"module\.(.+)", r"\1"),
        (r"RRDB_trunk\.(\d+)\.RDB(\d)\.(.+)", r"body.\1.rdb\2.\3"),
        (r"trunk_conv\.(weight|bias)", r"conv_body.\1"),
        (r"upconv(\d)\.(weight|bias)", r"conv_up\1.\2"),
        (r"HRconv\.(weight|bias)", r"conv_hr.\1"),
        (r"model\.0\.(weight|bias)", r"conv_first.\1"),
        (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(.+)", r"body.\1.rdb\2.conv\3.\4"),
        (r"model\.1\.sub\.\d+\.(weight|bias)", r"conv_body.\1"),
        (r"model\.3\.(weight|bias)", r"conv_up1.\1"),
        (r"model\.6\.(weight|bias)", r"conv_up2.\1"),
        (r"model\.8\.(weight|bias)", r"conv_hr.\1"),
        (r"model\.10\.(weight|bias)", r"conv_last.\1"),
    )
)


def current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the keys of today; keys of no known spelling stay.

    If two keys would become one, nothing is renamed: such a file is no old checkpoint.

    >>> current_names({"RRDB_trunk.3.RDB1.conv5.bias": 1, "module.HRconv.weight": 2, "other": 3})
    {'body.3.rdb1.conv5.bias': 1, 'conv_hr.weight': 2, 'other': 3}
    """
    renamed = {_current_name(name): tensor for name, tensor in tensors.items()}
    return renamed if len(renamed) == len(tensors) else dict(tensors)


def _current_name(name: str) -> str:
    for pattern, replacement in _RULES:
        if match := pattern.fullmatch(name):
            name = match.expand(replacement)
    return name
