"""Record the file that a network was read from."""

from collections.abc import Mapping
from dataclasses import dataclass

from calib.records import Count, Sha256


@dataclass(frozen=True)
class OnnxFileRecord:
    """What an ONNX file that a network was taken from says of its ends.

    Attributes:
        input: name of its input.
        output: name of its output.
        dtype: element type of its input, such as ``float16``.
        opset: version of its ``ai.onnx`` operator set.
    """

    input: str
    output: str
    dtype: str
    opset: Count


@dataclass(frozen=True)
class WeightsRecord:
    """The checkpoint, or the ONNX file, it was built from.

    Attributes:
        origin: where the weights came from, without machine paths.
        sha256: of the file that holds the weights.
        files: sha256 of every file that was read, by file name.
        official: whether the file is the official release; ``None`` where that cannot be said.
        released_as: the known model whose weights these are by their digest, if any's.
        onnx: of an ONNX file, what it says of its ends; ``None`` for a checkpoint.
    """

    origin: str
    sha256: Sha256
    files: Mapping[str, Sha256]
    official: bool | None
    released_as: str | None
    onnx: OnnxFileRecord | None = None
