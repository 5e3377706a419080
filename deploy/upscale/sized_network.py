"""Run a built network on tiles of whichever size a picture asks for."""

import math
from collections.abc import Callable

import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from calib.tile import Size
from deploy.runtime.activations import peak_activation_bytes
from deploy.runtime.resized import require_resizable, resized_model, side_factor
from deploy.runtime.runner import Runner
from deploy.runtime.tiling import MARGIN_PX
from deploy.upscale.tile_choice import choose_tile

MEMORY_MB = 1300
BASE_MB = 400
"""What a process takes beside a picture and a tile: the interpreter, runtimes and weights."""

_PICTURES = 2  # in memory: the one that is drawn and the next one, 10^6 bytes = 1 MB
_BANDS = 3  # in memory: drawn, joined with alpha, and being encoded


class SizedNetwork:
    """A network of fixed input that is loaded for one size of tile at a time.

    Args:
        model: float, fp16 or QDQ, of one picture [1, 3, h, w].
        scale: output pixels per input pixel along one side.
        load: gives the function that a model computes.
        overhead: memory that the runtime takes per byte of activations.
        memory_mb: what the process may take, 10^6 bytes.
        fixed: keep to the size that the file is built for.
    """

    def __init__(  # noqa: PLR0913
        self,
        model: onnx.ModelProto,
        scale: int,
        load: Callable[[onnx.ModelProto], Runner],
        *,
        overhead: float = 1.0,
        memory_mb: float = MEMORY_MB,
        fixed: bool = False,
    ) -> None:
        self.scale = scale
        self._model, self._load = model, load
        dims = model.graph.input[0].type.tensor_type.shape.dim
        self._built = Size(dims[2].dim_value, dims[3].dim_value)
        self._loaded: tuple[Size, Runner] | None = None
        self.kept_size = "asked for" if fixed else _why_fixed(model)
        if not self.kept_size:
            pixels = math.prod(self._built.sides)
            self._pixel_bytes = overhead * peak_activation_bytes(model) / pixels
            self._bytes = (memory_mb - BASE_MB) * 1e6
            self._factor = side_factor(model)

    def tile_for(self, shape: tuple[int, ...], sample_bytes: int = 1) -> Size:
        """Return the size of the tiles for a picture: the file's own where it works at no other.

        Args:
            shape: height, width and channels of the picture.
            sample_bytes: of each of its samples.
        """
        if self.kept_size:
            return self._built
        height, width, channels = shape
        layers = 2 - channels % 2  # colour, and alpha apart
        row_bytes = self.scale**2 * width * channels * sample_bytes  # drawn of one row
        # What overlaps stays in float32 until the next row of tiles: the last one's and this one's.
        overlaps = 2 * 2 * MARGIN_PX * self.scale**2 * width * layers * 3 * 4
        left = self._bytes - _PICTURES * height * width * channels * sample_bytes - overlaps

        def most_pixels(tile_height: int) -> float:
            return (left - _BANDS * row_bytes * tile_height) / self._pixel_bytes

        return choose_tile(height, width, most_pixels, self._factor)

    def run(self, size: Size, network_input: Float32) -> Float32:
        """Run the network on float32 [1, 3, h, w] of a size; the last size stays loaded.

        Returns:
            float32 [1, 3, h*scale, w*scale].
        """
        if self._loaded is None or self._loaded[0] != size:
            self._loaded = None  # before the next is there: two hold twice the memory
            model = self._model
            if size != self._built:
                model = resized_model(model, *size.sides, self.scale)
            self._loaded = size, self._load(model)
        return self._loaded[1](network_input)


def _why_fixed(model: onnx.ModelProto) -> str:
    """Return why a network works at its own size only, or nothing."""
    try:
        require_resizable(model)
        side_factor(model)
    except GraphError as error:
        return str(error)
    return ""
