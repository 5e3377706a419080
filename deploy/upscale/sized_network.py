"""Run a built network on tiles of whichever size a picture asks for.

Where it can be cut before its pictures grow (deploy/runtime/stages.py), the head runs on small
tiles of what the trunk made of a large one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import onnx

from calib.arrays import Float32
from calib.colours import channels_of
from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.records import FEWEST_PX
from calib.tile import Size
from deploy.runtime.resized import require_resizable, resized_model, side_factor
from deploy.runtime.runner import Runner
from deploy.runtime.stages import Stages, cut_where_it_grows
from deploy.runtime.tiling import MARGIN_PX, Tiling, in_tiles
from deploy.upscale.memory import MEMORY_MB, ONCE, Copies, Needs
from deploy.upscale.tile_choice import choose_tile

_PICTURES = 4  # in memory: as decoded and as samples, of the one that is drawn and the next one
_BANDS = 3  # in memory: drawn, joined with alpha, and being encoded


class SizedNetwork:
    """A network of fixed input that is loaded for one size of tile at a time.

    Args:
        model: float, fp16 or QDQ, of one picture [1, C, h, w].
        scale: output pixels per input pixel along one side.
        load: gives the function that a model computes.
        load_head: the same for a head that is apart from its trunk; ``None``: ``load``.
        copies: how often the runtime keeps a float tensor.
        memory_mb: what the process may take, 10^6 bytes.
        fixed: keep to the size that the file is built for.
        margin_px: of a tile of another size, where it meets the next one.

    Attributes:
        scale: as given.
        channels: of a picture.
        kept_size: why it works at the size that it is built for alone, or nothing.
    """

    def __init__(  # noqa: PLR0913
        self,
        model: onnx.ModelProto,
        scale: int,
        load: Callable[[onnx.ModelProto], Runner],
        *,
        load_head: Callable[[onnx.ModelProto], Runner] | None = None,
        copies: Copies = ONCE,
        memory_mb: float = MEMORY_MB,
        fixed: bool = False,
        margin_px: int = MARGIN_PX,
    ) -> None:
        self.scale = scale
        index = GraphIndex(model)
        self._index, self._load, self._load_head = GraphIndex(model), load, load_head or load
        dims = model.graph.input[0].type.tensor_type.shape.dim
        self.channels = channels_of(dims[1].dim_value)
        self._built = Size(dims[2].dim_value, dims[3].dim_value)
        self._loaded: tuple[Size, Runner] | None = None
        self.kept_size, self._factor = ("asked for", 1) if fixed else _why_fixed(index)
        self._margin_px = MARGIN_PX if self.kept_size else margin_px
        self._needs: Needs | None = None
        self._stages: Stages | None = None
        if not self.kept_size:
            self._stages = cut_where_it_grows(index)
            self._needs = Needs.of(index, self._stages, scale, memory_mb, copies)

    def tile_for(self, shape: tuple[int, ...], sample_bytes: int = 1) -> Size:
        """Return the size of the tiles for a picture: the file's own where it works at no other.

        Args:
            shape: height, width and channels of the picture.
            sample_bytes: of each of its samples.
        """
        if self._needs is None:
            return self._built
        needs = self._needs
        height, width, channels = shape
        layers = 2 - channels % 2  # colour, and alpha apart
        row_bytes = self.scale**2 * width * channels * sample_bytes  # drawn of one row
        # What overlaps stays in float32 until the next row of tiles: the last one's and this one's.
        overlaps = 2 * 2 * self._margin_px * self.scale**2 * width * layers * self.channels * 4
        pictures = _PICTURES * height * width * channels * sample_bytes
        left = needs.most_bytes - needs.head_bytes - pictures - overlaps

        def most_pixels(tile_height: int) -> float:
            return (left - _BANDS * row_bytes * tile_height) / needs.pixel_bytes

        return choose_tile(height, width, most_pixels, self._factor, self._margin_px)

    def tiling(self, height: int, width: int, tile: Size) -> Tiling:
        """Return where tiles lie on a picture that is at least as large as one."""
        return Tiling(height, width, tile, most_margin_px=self._margin_px)

    def run(self, size: Size, network_input: Float32) -> Float32:
        """Run the network on float32 [1, C, h, w] of a size; the last size stays loaded.

        Returns:
            float32 [1, C, h*scale, w*scale].
        """
        if self._loaded is None or self._loaded[0] != size:
            self._loaded = None  # before the next is there: two hold twice the memory
            self._loaded = size, self._load_for(size)
        return self._loaded[1](network_input)

    def _load_for(self, size: Size) -> Runner:
        stages, needs = self._stages, self._needs
        if stages is None or needs is None or min(size.sides) < FEWEST_PX * stages.shrink:
            return self._load(self._sized(size))
        entering = Size(*(side // stages.shrink for side in size.sides))
        tile = _head_tile(entering, stages, needs.head_pixels)
        scale = self.scale * stages.shrink
        # A runtime compiles on one core: the head while the trunk already draws on the others.
        pool = ThreadPoolExecutor(1)
        resized = pool.submit(resized_model, stages.head, *tile.sides, scale)
        run_trunk = self._load(resized_model(stages.trunk, *size.sides, Fraction(1, stages.shrink)))
        head = pool.submit(lambda: self._load_head(resized.result()))
        pool.shutdown(wait=False)

        def run(network_input: Float32) -> Float32:
            drawn = run_trunk(network_input)
            return in_tiles(head.result(), tile, stages.reach_px, scale)(drawn)

        return run

    def _sized(self, size: Size) -> onnx.ModelProto:
        if size == self._built:
            return self._index.model
        return resized_model(self._index, *size.sides, self.scale)


def _head_tile(entering: Size, stages: Stages, most_pixels: float) -> Size:
    """Return the tiles in which the head runs over a tensor that enters it, of a size."""
    tile = choose_tile(*entering.sides, lambda _: most_pixels, margin_px=stages.reach_px)
    return Size(*map(min, tile.sides, entering.sides))


def _why_fixed(index: GraphIndex) -> tuple[str, int]:
    """Return why a network works at its own size only, or nothing and what divides its sides."""
    try:
        require_resizable(index.model)
        return "", side_factor(index)
    except GraphError as error:
        return str(error), 1
