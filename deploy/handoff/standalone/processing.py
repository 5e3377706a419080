"""Process what goes into the network and what comes out of it, with numpy and cv2 alone.

    python processing.py input  PICTURE...   INPUT.npy      pictures -> network input
    python processing.py output OUTPUT.npy   PICTURE.png    network output -> picture

Before the network: read, BGR -> RGB, resize by area to the size that manifest.json beside this
file states, divide by 255, HWC -> NCHW.
A network for gray pictures, of one channel, gets the luma of RGB (0.299 R + 0.587 G + 0.114 B, in 8
bits), and its output is one channel.
Mean is 0 and standard deviation 1: nothing else is subtracted or divided.

Behind it: clip to [0, 1], times 255, round half to even, NCHW -> HWC, RGB -> BGR, write. An output
is a .npy, a .npz with output_0, or a .raw of float32. A picture larger than the network's input is
cut and joined by tiles.py beside this.

Where manifest.json states another form of pictures, the network takes bytes (not divided by 255),
NHWC or BGR, and gives NHWC or BGR. What was given and cannot be used is one line on stderr, and
exit status 2.
"""

import json
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

MANIFEST = Path(__file__).resolve().parent / "manifest.json"

Picture = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


def refuse(problem: str) -> NoReturn:
    """Say in one line what cannot be used, and leave with status 2."""
    print(f"{Path(sys.argv[0]).name}: {' '.join(problem.split())}", file=sys.stderr)
    raise SystemExit(2)


def refuse_usage(usage: str | None) -> NoReturn:
    """Say how a script is called, and leave with status 2."""
    print(usage, file=sys.stderr)
    raise SystemExit(2)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Refuse a path that cannot be written."""
    try:
        yield
    except OSError as error:
        refuse(f"cannot write {path}: {error.strerror or error}")


def stated_network() -> dict[str, Any]:
    """Return what manifest.json says of the network."""
    try:
        network: dict[str, Any] = json.loads(MANIFEST.read_text(encoding="utf-8"))["network"]
    except (OSError, ValueError, LookupError):
        refuse(f"found no bundle's {MANIFEST.name} beside this file; unpack the bundle again")
    return network


def input_shape() -> tuple[int, int, int, int]:
    """Return pictures per inference, channels, height and width of the network's input."""
    tile = stated_network()["tile"]
    return tile["batch"], tile["channels"], tile["height_px"], tile["width_px"]


def read_picture(path: Path) -> Picture:
    """Read an image file as uint8 [H, W, 3] in RGB, upright.

    Gray is repeated three times, alpha is dropped, 16 bits become 8 by x / 257.
    """
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        refuse(f"cannot read the picture {path}: {error.strerror or error}")
    # Not IMREAD_UNCHANGED: that would also ignore the orientation which EXIF asks for.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    stored = cv2.imdecode(raw, flags) if len(raw) else None
    if stored is None:
        refuse(f"{path} does not decode as an image")
    samples: npt.NDArray[Any] = np.asarray(stored)
    if samples.dtype == np.uint16:
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if samples.dtype != np.uint8:
        refuse(f"{path} holds {samples.dtype} samples; expected 8 or 16 bits")
    code = cv2.COLOR_GRAY2RGB if samples.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(samples, code), np.uint8)


def resize_area(picture: Picture, height: int, width: int) -> Picture:
    """Resize by area (INTER_AREA); the aspect ratio is not kept."""
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def in_channels(picture: Picture, channels: int) -> Picture:
    """Return uint8 [H, W, 3] RGB as the network sees it, uint8 [H, W, channels]."""
    if channels == 1:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis], np.uint8)
    return picture


def stated_form() -> dict[str, str]:
    """Return values, layout and channel_order of the pictures that the network takes and gives."""
    form: dict[str, str] = stated_network()["form"]
    return form


def as_taken(planes: Tensor) -> npt.NDArray[Any]:
    """Turn float32 [N, C, H, W] in [0, 1], RGB or gray, into what the network takes."""
    form = stated_form()
    taken: npt.NDArray[Any] = planes[:, ::-1] if form["channel_order"] == "bgr" else planes
    if form["values"] == "uint8":
        taken = np.rint(taken * np.float32(255)).astype(np.uint8)
    taken = taken.transpose(0, 2, 3, 1) if form["layout"] == "nhwc" else taken
    return np.ascontiguousarray(taken)


def output_shape() -> tuple[int, int, int, int]:
    """Return pictures, channels, height and width of what the network makes of one input."""
    batch, channels, height, width = input_shape()
    scale: int = stated_network()["scale"]
    return batch, channels, height * scale, width * scale


def as_planes(output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn [N, C, H, W] or [N, H, W, C] as the network gives it into [N, C, H, W], RGB or gray."""
    form, channels = stated_form(), input_shape()[1]
    axes = (3, 1) if form["layout"] == "nhwc" else (1, 3)
    found = [axis for axis in axes if output.shape[axis] == channels]
    planes = np.moveaxis(output, found[0] if found else axes[0], 1)
    return planes[:, ::-1] if form["channel_order"] == "bgr" else planes


def _stored_output(path: Path) -> npt.NDArray[Any] | None:
    """Read the array of a file that a runner wrote, ``None`` where it holds none."""
    try:
        if path.suffix == ".raw":
            batch, channels, height, width = shape = output_shape()
            if stated_form()["layout"] == "nhwc":
                shape = (batch, height, width, channels)
            values = np.fromfile(path, np.float32)
            return values.reshape(shape) if values.size == math.prod(shape) else values
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return stored
        with stored as archive:
            return np.asarray(archive["output_0"])
    except OSError as error:
        refuse(f"cannot read the output {path}: {error.strerror or error}")
    except (ValueError, LookupError, EOFError, BadZipFile, zlib.error):
        return None


def read_output(path: Path) -> npt.NDArray[np.floating[Any]]:
    """Read what a runner made of an input, float [N, C, H, W], RGB or gray.

    It is a .npy, a .npz with ``output_0`` or a .raw of float32 without a header, with the channels
    before the rows or behind the columns. Integers are refused: what they stand for is not known.
    """
    stored = _stored_output(path)
    if stored is None or not np.issubdtype(stored.dtype, np.floating):
        refuse(f"{path} is no .npy, .npz (output_0) or .raw file of floating-point numbers")
    whole = stored[np.newaxis] if stored.ndim == 3 else stored
    planes, channels = as_planes(whole) if whole.ndim == 4 else whole, input_shape()[1]
    if planes.ndim != 4 or 0 in planes.shape or planes.shape[1] != channels:
        layout = "N, H, W, C" if stated_form()["layout"] == "nhwc" else "N, C, H, W"
        refuse(f"{path} holds {list(stored.shape)}; expected [{layout}] with C {channels}")
    return planes


def to_input(picture: Picture) -> Tensor:
    """Turn uint8 [H, W, C] into float32 [1, C, H, W] in [0, 1]."""
    planes: Tensor = np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis], np.float32)
    planes /= np.float32(255)
    return planes


def to_picture(output: npt.NDArray[np.floating[Any]]) -> Picture:
    """Turn float [N, C, H, W] into uint8 [H, W, 3] RGB, the first of its pictures."""
    if not np.isfinite(output).all():
        refuse("the network's output holds NaN or infinity")
    scaled = np.rint(np.clip(output[0], 0, 1).astype(np.float32) * np.float32(255))
    planes = np.broadcast_to(scaled, (3, *scaled.shape[1:]))
    return np.ascontiguousarray(planes.transpose(1, 2, 0), np.uint8)


def batches(pictures: Sequence[Picture], batch: int) -> list[npt.NDArray[Any]]:
    """Turn pictures [H, W, C] into inputs of the network, the last filled up with the first."""
    count = -(-len(pictures) // batch) * batch
    every = [to_input(pictures[number % len(pictures)]) for number in range(count)]
    groups = (every[start : start + batch] for start in range(0, count, batch))
    return [as_taken(np.concatenate(group)) for group in groups]


def write_picture(path: Path, picture: Picture) -> None:
    """Write uint8 [H, W, 3] RGB, or gray [H, W, 1], as PNG."""
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    with writing(path):
        path.write_bytes(encoded.tobytes())


def main(arguments: list[str]) -> None:
    """Run one direction from the command line."""
    match arguments:
        case ["input", *sources, target] if sources:
            batch, channels, height, width = input_shape()
            if len(sources) > batch:
                refuse(f"{len(sources)} pictures; the network takes {batch} at once")
            pictures = [
                resize_area(read_picture(Path(source)), height, width) for source in sources
            ]
            pictures = [in_channels(picture, channels) for picture in pictures]
            with writing(Path(target)):
                np.save(target, batches(pictures, batch)[0])
        case ["output", source, target]:
            path, output = Path(target), read_output(Path(source))
            for number in range(len(output)):
                name = path.name if number == 0 else f"{path.stem}-{number}{path.suffix}"
                write_picture(path.with_name(name), to_picture(output[number : number + 1]))
        case _:
            refuse_usage(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
