"""Say at what size tests run the real x4plus-anime-6b: a quarter of the usual area."""

from calib.tile import Size

REAL_SIZE = Size(64, 64)
