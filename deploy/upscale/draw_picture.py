"""Enlarge one picture from its file into another."""

from pathlib import Path

from calib.colours import GRAY
from calib.errors import ImageError
from deploy.progress import Advance
from deploy.upscale.compare import write_comparison
from deploy.upscale.enlarge import enlarge, inferences
from deploy.upscale.files import PicturePair
from deploy.upscale.formats import require_room
from deploy.upscale.photograph import Photograph, read_extent, read_photograph
from deploy.upscale.request import UpscaleRequest
from deploy.upscale.samples import channels_drawn
from deploy.upscale.sized_network import SizedNetwork
from deploy.upscale.write_picture import Drawing, write_picture


def picture_inferences(request: UpscaleRequest, pair: PicturePair, network: SizedNetwork) -> int:
    """Return how many inferences a picture takes, by the head of its file.

    Raises:
        ImageError: it cannot be read, or is not enlarged.
        UsageError: the format to write does not hold the enlarged picture.
    """
    extent = read_extent(pair.source)
    height, width = request.size_of(extent.height, extent.width, network.scale)
    require_room(pair.out, height, width, alpha=extent.channels in (2, 4))
    shape = extent.height, extent.width, channels_drawn(extent.channels, network.channels)
    return inferences(shape, network, extent.sample_bytes)


def read_for(network: SizedNetwork, path: Path) -> Photograph | ImageError:
    """Return a picture as a network takes it, or why it cannot be read."""
    try:
        photograph = read_photograph(path)
        return photograph.in_gray() if network.channels == GRAY else photograph
    except ImageError as error:
        return error


def draw_picture(
    request: UpscaleRequest,
    pair: PicturePair,
    photograph: Photograph,
    network: SizedNetwork,
    advance: Advance,
) -> None:
    """Enlarge a picture into its file.

    Raises:
        UsageError: the file cannot be written.
        VerificationError: the network drew NaN or infinity.
    """
    samples = photograph.samples
    height, width, channels = samples.shape
    drawing = Drawing(
        height * network.scale,
        width * network.scale,
        channels,
        8 * samples.dtype.itemsize,
        enlarge(samples, network, advance),
    )
    size = request.size_of(height, width, network.scale)
    write_picture(pair.out, drawing, photograph, size, request.quality)
    if request.compare:
        write_comparison(pair.out, photograph)
