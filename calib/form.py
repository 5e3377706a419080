"""State the form in which a file takes and gives pictures, and turn arrays into it and back.

Inside, a picture is float32 [N, 3, H, W] RGB in [0, 1] throughout. A file may take it otherwise:

    values          float: in [0, 1]; uint8: bytes 0..255, which the file divides by 255 itself
    layout          nchw: [N, 3, H, W]; nhwc: [N, H, W, 3], of its input and its output
    channel order   rgb, or bgr, of its input and its output

Its output is float32 in any form. A file in another form than the usual one says so in its own
metadata (``metadata_props``), by the keys in :data:`KEYS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from calib.arrays import AnyArray, Float32
from calib.errors import GraphError

Values = Literal["float", "uint8"]
Layout = Literal["nchw", "nhwc"]
ChannelOrder = Literal["rgb", "bgr"]
Shape = tuple[int, int, int, int]

KEYS = {
    "esrdeploy.input": get_args(Values),
    "esrdeploy.layout": get_args(Layout),
    "esrdeploy.channel_order": get_args(ChannelOrder),
}
"""Keys in a file's metadata, and what each may say; the first where it is not there."""


@dataclass(frozen=True)
class Form:
    """How a file takes and gives pictures.

    Attributes:
        values: of its input.
        layout: of its input and output.
        channel_order: of its input and output.
    """

    values: Values = "float"
    layout: Layout = "nchw"
    channel_order: ChannelOrder = "rgb"

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Form("uint8", "nhwc", "bgr")), str(Form())
        ('bytes 0..255, NHWC, BGR', 'float in [0,1], NCHW, RGB')
        """
        values = "bytes 0..255" if self.values == "uint8" else "float in [0,1]"
        return f"{values}, {self.layout.upper()}, {self.channel_order.upper()}"

    @property
    def usual(self) -> bool:
        """Whether it is that of pictures inside."""
        return self == Form()

    @property
    def options(self) -> str:
        """The options of a build that give it; empty for the usual one.

        >>> Form(layout="nhwc").options
        '--layout nhwc'
        """
        chosen = (self.values, self.layout, self.channel_order)
        named = zip(("--input", "--layout", "--channel-order"), chosen, KEYS.values(), strict=True)
        return " ".join(f"{name} {value}" for name, value, known in named if value != known[0])

    @property
    def metadata(self) -> dict[str, str]:
        """What the metadata of a file says of it; nothing of the usual one."""
        if self.usual:
            return {}
        return dict(
            zip(KEYS, map(str, (self.values, self.layout, self.channel_order)), strict=True)
        )

    @classmethod
    def stated_in(cls, metadata: Mapping[str, str]) -> "Form":
        """Return the form that a file's metadata states.

        Raises:
            GraphError: it states one that there is not.
        """
        found = {key: metadata.get(key, choices[0]) for key, choices in KEYS.items()}
        for key, choices in KEYS.items():
            if found[key] not in choices:
                raise GraphError(
                    f"its metadata say {key} {found[key][:40]!r}; expected {' or '.join(choices)}"
                )
        return cls(*found.values())

    def shape(self, planar: Shape) -> Shape:
        """Return the shape [N, C, H, W] of an end as the file has it."""
        batch, channels, height, width = planar
        return (batch, height, width, channels) if self.layout == "nhwc" else planar

    def taken(self, planes: Float32) -> AnyArray:
        """Return pictures as the file takes them.

        Args:
            planes: float32 [N, 3, H, W] RGB in [0, 1]. As bytes they are rounded to the nearest.

        >>> Form("uint8", "nhwc", "bgr").taken(np.ones((1, 3, 1, 1), np.float32)).tolist()
        [[[[255, 255, 255]]]]
        """
        if self.values == "uint8":
            return self._arranged(np.rint(np.clip(planes, 0, 1) * np.float32(255)).astype(np.uint8))
        return self._arranged(planes)

    def planes_taken(self, array: AnyArray) -> Float32:
        """Return float32 [N, 3, H, W] RGB in [0, 1] of what the file takes."""
        planes = self.planes_given(array)
        return planes / np.float32(255) if self.values == "uint8" else planes

    def given(self, planes: Float32) -> Float32:
        """Return float32 [N, 3, H, W] RGB as the file gives it out."""
        return self._arranged(planes)

    def planes_given(self, array: AnyArray) -> Float32:
        """Return float32 [N, 3, H, W] RGB of what the file gives out."""
        planes = array.transpose(0, 3, 1, 2) if self.layout == "nhwc" else array
        planes = planes[:, ::-1] if self.channel_order == "bgr" else planes
        found: Float32 = np.ascontiguousarray(planes, np.float32)
        return found

    def _arranged(self, planes: AnyArray) -> AnyArray:
        arranged = planes[:, ::-1] if self.channel_order == "bgr" else planes
        arranged = arranged.transpose(0, 2, 3, 1) if self.layout == "nhwc" else arranged
        return np.ascontiguousarray(arranged)
