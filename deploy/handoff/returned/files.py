"""Read a folder of a vendor's output files as one array per golden input, or say why there is none.

    name     the golden input's, alone or with something before or behind it; or, as qnn-net-run
             writes it, any file in a folder ``Result_N`` for the input at position N
    form     .npz with ``output_0``, .npy, or headerless .raw / .bin
    shape    [N,3,H,W], [N,H,W,3], either without the 1 of a single picture, or flat; headerless is
             [N,3,H,W] unless said
    values   float of any width; or quantized integers with scale and zero point

Scale and zero point of integers come from ``scale`` and ``zero_point`` in the same .npz, else from
``quantization.json`` in the folder (``{"dtype": "int8", "scale": 0.0039, "zero_point": -128}``),
else from the command line. Values that no scale belongs to are taken as they are: a picture of
0..255 is then diagnosed as one.
"""

import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from calib.archive import DAMAGED, first_line
from calib.arrays import AnyArray, Float32
from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from calib.records import Integer64, read

Layout = Literal["nchw", "nhwc"]
Shape = tuple[int, int, int, int]

QUANTIZATION_NAME = "quantization.json"
REPORT_STEM = "returned-report"
_SUFFIXES = (".npz", ".npy", ".raw", ".bin")
_RESULT_FOLDER = re.compile(r"result_(\d+)", re.IGNORECASE)
_CODES = ("int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class OutputQuantization:
    """What quantized outputs stand for: ``(q - zero_point) * scale``.

    Attributes:
        dtype: of the integers, which a headerless file does not say.
        scale: real value of one quantization step.
        zero_point: quantized value of 0.
    """

    dtype: str
    scale: float
    zero_point: Integer64

    def __post_init__(self) -> None:
        """Refuse what is no quantization.

        Raises:
            UsageError: an unknown type, or a scale that is not positive.
        """
        if self.dtype not in _CODES or not 0.0 < self.scale < float("inf"):
            raise UsageError(
                f"found outputs of {self.dtype} with scale {self.scale}; expected one of "
                f"{', '.join(_CODES)} and a positive scale"
            )

    @classmethod
    def parse(cls, text: str) -> "OutputQuantization":
        """Return what ``DTYPE:SCALE:ZERO_POINT`` says.

        Raises:
            UsageError: the text has another form.

        >>> OutputQuantization.parse("int8:0.0039:-128").zero_point
        -128
        """
        try:
            dtype, scale, zero_point = text.split(":")
            return cls(dtype, float(scale), int(zero_point))
        except ValueError as error:
            raise UsageError(
                f"found --output-quantization {text!r}; expected DTYPE:SCALE:ZERO_POINT "
                "such as int8:0.0039:-128"
            ) from error


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
        extra: files that belong to no golden name, relative to the folder.
        twice: golden names with several files, and those.
        own: files of the bundle itself that came back beside the outputs, relative to the folder.
    """

    files: Mapping[str, Path]
    missing: tuple[str, ...]
    extra: tuple[Path, ...]
    twice: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    own: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Output:
    """One returned output.

    Attributes:
        array: float32 [N, 3, H, W].
        form: how it came, for people.
    """

    array: Float32
    form: str


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
        raise UsageError(f"found no folder {folder} with returned outputs")
    claims: dict[str, list[Path]] = {name: [] for name in names}
    extra, own = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name == QUANTIZATION_NAME or path.stem == REPORT_STEM or path.name.startswith("."):
            continue
        name = _name_of(path, names) if path.suffix.lower() in _SUFFIXES else None
        if name is not None:
            claims[name].append(path)
        elif sha256_file(path) in bundled:
            own.append(path.relative_to(folder))
        else:
            extra.append(path.relative_to(folder))
    for name, paths in claims.items():
        if len(paths) > 1:
            copies = [path for path in paths if sha256_file(path) in bundled]
            claims[name] = [path for path in paths if path not in copies] or copies[:1]
            own += [path.relative_to(folder) for path in copies if path not in claims[name]]
    return Matches(
        files={name: paths[0] for name, paths in claims.items() if len(paths) == 1},
        missing=tuple(name for name, paths in claims.items() if not paths),
        extra=tuple(extra),
        twice={name: tuple(paths) for name, paths in claims.items() if len(paths) > 1},
        own=tuple(sorted(own)),
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


def folder_quantization(folder: Path) -> OutputQuantization | None:
    """Return what ``quantization.json`` says, if it is there.

    Raises:
        UsageError: it does not say type, scale and zero point.
    """
    path = folder / QUANTIZATION_NAME
    if not path.exists():
        return None
    return read(
        path, OutputQuantization, UsageError, "give dtype, scale and zero_point of the outputs"
    )


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
    except DAMAGED as error:
        raise VerificationError(f"cannot be read: {first_line(error)}") from error
    planes, layout = _planes(stored, shape, reading.layout)
    form = f"{path.suffix[1:].lower()}, {stored.dtype}{list(stored.shape)}, {layout}"
    if np.issubdtype(stored.dtype, np.floating):
        return Output(planes.astype(np.float32), form)
    if quantization is not None:
        values = (planes.astype(np.float64) - quantization.zero_point) * quantization.scale
        form += f", scale {quantization.scale:.6g}, zero point {quantization.zero_point}"
        return Output(values.astype(np.float32), form)
    if stored.dtype == np.uint8:
        return Output(planes.astype(np.float32) / np.float32(255), f"{form}, taken as a picture")
    raise VerificationError(
        f"holds {stored.dtype} values without scale and zero point; put them into the .npz or into "
        f"{QUANTIZATION_NAME}, or give --output-quantization"
    )


def _stored(
    path: Path, shape: Shape, reading: OutputFormat
) -> tuple[AnyArray, OutputQuantization | None]:
    content = path.read_bytes()
    if path.suffix.lower() in {".npy", ".npz"}:  # which of the two, the content says
        found = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found, reading.quantization
        with found:
            return _from_npz({name: found[name] for name in found.files}, reading)
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
    found = 0 if zero_point is None else int(zero_point.reshape(-1)[0])
    return stored, OutputQuantization(str(stored.dtype), float(scale.reshape(-1)[0]), found)


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
