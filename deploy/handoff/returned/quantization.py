"""State what the integers that a vendor returns stand for."""

from dataclasses import dataclass
from pathlib import Path

from calib.errors import UsageError
from calib.records import Integer64, read

QUANTIZATION_NAME = "quantization.json"
_CODES = ("int8", "uint8", "int16", "uint16")
_MOST_ZERO_POINT = 1 << 31


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
        if abs(self.zero_point) >= _MOST_ZERO_POINT:
            raise UsageError(f"found a zero_point of {self.zero_point}; expected one of 32 bits")

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
