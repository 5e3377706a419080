"""State the fixed input of a network: how large its pictures are, and how many it takes at once.

A network is exported for one such input. Larger pictures are enlarged tile by tile
(`deploy.runtime.tiling`), so no side needs to exceed what a chip takes in one piece. Below 16
pixels the output of a network that does not enlarge is smaller than SSIM can judge.
"""

import re
from dataclasses import dataclass

from calib.colours import RGB, Channels
from calib.errors import UsageError
from calib.records import FEWEST_PX, MOST_BATCH, MOST_PX, Batch, SidePx

USUAL_PX = 128
MOST_PIXELS = MOST_PX * MOST_PX

_TEXT = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?")


@dataclass(frozen=True)
class Size:
    """Height and width of a network's input.

    Attributes:
        height_px: rows.
        width_px: columns.
    """

    height_px: SidePx = USUAL_PX
    width_px: SidePx = USUAL_PX

    def __post_init__(self) -> None:
        """Refuse what no network is built for.

        Raises:
            UsageError: a side is out of bounds.
        """
        for side in self.sides:
            if not FEWEST_PX <= side <= MOST_PX:
                raise UsageError(
                    f"found a size of {self.height_px}x{self.width_px} pixels; expected sides of "
                    f"{FEWEST_PX} to {MOST_PX}: larger pictures are enlarged in tiles"
                )

    def __str__(self) -> str:
        return f"{self.height_px}x{self.width_px}"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.height_px, self.width_px


USUAL_SIZE = Size()


@dataclass(frozen=True)
class Tile(Size):
    """The fixed input of a network.

    Attributes:
        batch: pictures that one inference takes.
        channels: of each picture; what the network says, whatever size is asked for.
    """

    batch: Batch = 1
    channels: Channels = RGB

    def __post_init__(self) -> None:
        """Refuse what no network is built for.

        Raises:
            UsageError: a side, the batch or all pixels together are out of bounds.
        """
        super().__post_init__()
        if not 1 <= self.batch <= MOST_BATCH:
            raise UsageError(f"found a batch of {self.batch}; expected 1 to {MOST_BATCH}")
        if self.batch * self.height_px * self.width_px > MOST_PIXELS:
            raise UsageError(
                f"found {self.batch} pictures of {self.size} pixels; expected at most "
                f"{MOST_PIXELS} pixels together ({MOST_PX}x{MOST_PX}): choose a smaller tile or "
                "batch"
            )

    @classmethod
    def parse(cls, text: str, batch: int = 1) -> "Tile":
        """Return what ``SIDE`` or ``HEIGHTxWIDTH`` says.

        Raises:
            UsageError: the text has another form, or the tile is out of bounds.

        >>> Tile.parse("180x320")
        Tile(height_px=180, width_px=320, batch=1, channels=3)
        >>> Tile.parse("256", batch=4).shape
        (4, 3, 256, 256)
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise UsageError(
                f"found --size {text!r}; expected a side in pixels such as 256, or HEIGHTxWIDTH "
                "such as 180x320"
            )
        height, width = found.groups()
        return cls(int(height), int(width or height), batch)

    @property
    def size(self) -> Size:
        """Height and width alone."""
        return Size(*self.sides)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H and W of the network's input."""
        return self.batch, self.channels, self.height_px, self.width_px

    def output_shape(self, scale: int) -> tuple[int, int, int, int]:
        """Return N, C, H and W of the output of a network that enlarges by ``scale``."""
        height, width = (side * scale for side in self.sides)
        return self.batch, self.channels, height, width

    def named(self, model: str) -> str:
        """Return what files of a model with this input begin with; the usual one is not named.

        >>> Tile().named("x4plus"), Tile(180, 320).named("x4plus"), Tile(batch=4).named("x4plus")
        ('x4plus', 'x4plus-180x320', 'x4plus-128x128-b4')
        """
        if self.size == USUAL_SIZE and self.batch == 1:
            return model
        return f"{model}-{self.size}" + (f"-b{self.batch}" if self.batch > 1 else "")


USUAL_TILE = Tile()
