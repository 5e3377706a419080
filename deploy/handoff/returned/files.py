"""Read a folder of a vendor's output files as one array per golden input, or say why there is none.

    name     the golden input's, alone or with something before or behind it; or, as qnn-net-run
             writes it, any file in a folder ``Result_N`` for the input at position N
    form     .npz with ``output_0``, .npy, or headerless .raw / .bin
    shape    [N,3,H,W], [N,H,W,3], either without the 1 of a single picture, or flat; headerless is
             [N,3,H,W] unless said
    values   float of any width; or quantized integers with scale and zero point

A picture file is no output: it lost what lies between two of 255 levels and beyond [0, 1]. What has
another form is left aside, and named where the output of its golden input is missing.

Scale and zero point of integers come from ``scale`` and ``zero_point`` in the same .npz, else from
``quantization.json`` in the folder (``{"dtype": "int8", "scale": 0.0039, "zero_point": -128}``),
else from the command line. uint8 that no scale belongs to is taken as a picture, value / 255, and
the verdict says so; other values are taken as they are: a picture of 0..255 is diagnosed as one.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from calib.arrays import AnyArray, Float32
from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from calib.files import read_whole
from calib.npy import parse_arrays, parse_npy, read_npz
from deploy.handoff.returned.quantization import QUANTIZATION_NAME, OutputQuantization

Layout = Literal["nchw", "nhwc"]
Shape = tuple[int, int, int, int]

FORMS = ".npy, .npz with output_0, or headerless .raw or .bin"
UNSCALED_BYTES = "uint8 without scale and zero point, taken as value / 255"
_SUFFIXES = (".npz", ".npy", ".raw", ".bin")
_RESULT_FOLDER = re.compile(r"result_(\d+)", re.IGNORECASE)
_ZIP_START = b"PK"


@dataclass(frozen=True)
class OutputFormat:
    """How files that do not say it themselves are read.

    Attributes:
        layout: of headerless files.
        quantization: of integer files.
    """

    layout: Layout = "nchw"
    quantization: OutputQuantization | None = None


@dataclass(frozen=True)
class Matches:
    """Which file belongs to which golden input.

    Attributes:
        files: by golden name.
        missing: golden names without a file.
        extra: files in the form of outputs that belong to no golden name, relative to the folder.
        twice: golden names with several files, and those.
        own: files of the bundle itself that came back beside the outputs, relative to the folder.
        beside: files in another form that nothing is said of elsewhere, relative to the folder.
        called: golden names without an output, with a file in another form that is called so.
    """

    files: Mapping[str, Path]
    missing: tuple[str, ...]
    extra: tuple[Path, ...]
    twice: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    own: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    called: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Output:
    """One returned output.

    Attributes:
        array: float32 [N, 3, H, W].
        form: how it came, for people.
        assumed: what was taken for granted of its values, for people; empty where nothing was.
    """

    array: Float32
    form: str
    assumed: str = ""


def match_files(
    folder: Path, names: Sequence[str], bundled: Collection[str] = frozenset()
) -> Matches:
    """Match the files of a folder with the golden inputs by name.

    A file that is the bundle's own to the last bit is left aside where another belongs to the same
    golden input, or where it belongs to none; alone, it is what was returned for that input.

    Args:
        folder: of the returned files.
        names: of the golden inputs.
        bundled: sha256 of every file of the bundle.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "no folder"
        raise UsageError(f"found {found} {folder}; expected the folder of returned outputs")
    claims: dict[str, list[Path]] = {name: [] for name in names}
    extra, own, beside = [], [], []
    called: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name == QUANTIZATION_NAME or path.name.startswith("."):
            continue
        name, readable = _name_of(path, names), path.suffix.lower() in _SUFFIXES
        if name is not None and readable:
            claims[name].append(path)
        elif sha256_file(path) in bundled:
            own.append(path.relative_to(folder))
        elif readable:
            extra.append(path.relative_to(folder))
        else:
            beside.append(path.relative_to(folder))
            if name is not None:
                called.setdefault(name, path.relative_to(folder))
    for name, paths in claims.items():
        if len(paths) > 1:
            copies = [path for path in paths if sha256_file(path) in bundled]
            claims[name] = [path for path in paths if path not in copies] or copies[:1]
            own += [path.relative_to(folder) for path in copies if path not in claims[name]]
    called = {name: path for name, path in called.items() if not claims[name]}
    return Matches(
        files={name: paths[0] for name, paths in claims.items() if len(paths) == 1},
        missing=tuple(name for name, paths in claims.items() if not paths),
        extra=tuple(extra),
        twice={name: tuple(paths) for name, paths in claims.items() if len(paths) > 1},
        own=tuple(sorted(own)),
        beside=tuple(path for path in beside if path not in called.values()),
        called=called,
    )


def _name_of(path: Path, names: Sequence[str]) -> str | None:
    stem = path.stem.casefold()
    for name in names:
        if stem == name:
            return name
    for name in names:
        if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", stem):
            return name
    numbered = _RESULT_FOLDER.fullmatch(path.parent.name)
    if numbered is not None and int(numbered[1]) < len(names):
        return names[int(numbered[1])]
    return None


def read_output(path: Path, shape: Shape, reading: OutputFormat) -> Output:
    """Read one returned file.

    Args:
        path: the file.
        shape: N, C, H and W that the output must have.
        reading: what the file may not say itself.

    Raises:
        VerificationError: it cannot be read, has another shape, or holds integers without a scale.
    """
    try:
        stored, quantization = _stored(path, shape, reading)
    except UsageError as error:
        raise VerificationError(f"{error}") from error
    except OSError as error:
        raise VerificationError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise VerificationError(f"cannot be read: it {error}") from error
    planes, layout = _planes(stored, shape, reading.layout)
    form = f"{path.suffix[1:].lower()}, {stored.dtype}{list(stored.shape)}, {layout}"
    if np.issubdtype(stored.dtype, np.floating):
        return Output(planes.astype(np.float32), form)
    if quantization is not None:
        values = (planes.astype(np.float64) - quantization.zero_point) * quantization.scale
        form += f", scale {quantization.scale:.6g}, zero point {quantization.zero_point}"
        return Output(values.astype(np.float32), form)
    if stored.dtype == np.uint8:
        return Output(planes.astype(np.float32) / np.float32(255), form, UNSCALED_BYTES)
    raise VerificationError(
        f"holds {stored.dtype} values without scale and zero point; put them into the .npz or into "
        f"{QUANTIZATION_NAME}, or give --output-quantization"
    )


def _stored(
    path: Path, shape: Shape, reading: OutputFormat
) -> tuple[AnyArray, OutputQuantization | None]:
    content = read_whole(path)
    if path.suffix.lower() in {".npy", ".npz"}:  # which of the two, the content says
        if content.startswith(_ZIP_START):
            return _from_npz(parse_arrays(read_npz(content)), reading)
        return parse_npy(content), reading.quantization
    values = math.prod(shape)
    if len(content) == 4 * values:
        return np.frombuffer(content, "<f4"), None
    if reading.quantization is not None:
        width = np.dtype(reading.quantization.dtype).itemsize
        if len(content) == width * values:
            return np.frombuffer(
                content, np.dtype(reading.quantization.dtype)
            ), reading.quantization
    if len(content) == 2 * values:
        return np.frombuffer(content, "<f2"), None
    raise VerificationError(
        f"has {len(content)} bytes; expected {4 * values} of float32, {2 * values} of float16, or "
        f"{values} of 8-bit integers with --output-quantization"
    )


def _from_npz(
    arrays: dict[str, AnyArray], reading: OutputFormat
) -> tuple[AnyArray, OutputQuantization | None]:
    scale, zero_point = arrays.pop("scale", None), arrays.pop("zero_point", None)
    name = "output_0" if "output_0" in arrays else next(iter(arrays), "")
    if name != "output_0" and len(arrays) != 1:
        raise VerificationError(f"holds the arrays {sorted(arrays)}, expected output_0")
    stored = arrays[name]
    if scale is None or np.issubdtype(stored.dtype, np.floating):
        return stored, reading.quantization
    found = 0.0 if zero_point is None else _number(zero_point, "zero_point")
    try:
        return stored, OutputQuantization(str(stored.dtype), _number(scale, "scale"), int(found))
    except UsageError as error:
        raise VerificationError(f"cannot be used: {error}") from error


def _number(array: AnyArray, name: str) -> float:
    """Return the one number of an array.

    Raises:
        VerificationError: it holds something else.
    """
    number = array.reshape(-1)[0] if array.size == 1 and array.dtype.kind in "iuf" else np.nan
    if not np.isfinite(number):
        raise VerificationError(
            f"holds {array.dtype} {list(array.shape)} as {name}; expected one finite number"
        )
    return float(number)


def _planes(stored: AnyArray, shape: Shape, layout: Layout) -> tuple[AnyArray, str]:
    """Return the values as [N, 3, H, W], and the layout they came in."""
    batch, channels, height, width = shape
    interleaved = (batch, height, width, channels)
    found = _without_ones(stored.shape)
    if found == _without_ones(shape):
        return stored.reshape(shape), "NCHW"
    if found == _without_ones(interleaved):
        return stored.reshape(interleaved).transpose(0, 3, 1, 2), "NHWC"
    if found == (math.prod(shape),):
        if layout == "nhwc":
            return stored.reshape(interleaved).transpose(0, 3, 1, 2), "flat, NHWC"
        return stored.reshape(shape), "flat, NCHW"
    spelled = (f"[{','.join(map(str, one))}]" for one in (shape, interleaved))
    raise VerificationError(f"has shape {list(stored.shape)}; expected {' or '.join(spelled)}")


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the ones that it begins with, its last number apart."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
