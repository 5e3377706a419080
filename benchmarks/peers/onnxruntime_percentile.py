"""Quantize with onnxruntime: percentile, uint8 activations, int8 weights per channel.

python onnxruntime_percentile.py FLOAT.onnx INPUTS.npy OUT.onnx
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(CalibrationDataReader):
    """Hands over one picture at a time."""

    def __init__(self, inputs: np.ndarray) -> None:
        self._inputs = inputs
        self._next: Iterator[np.ndarray] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next picture, ``None`` after the last."""
        picture = next(self._next, None)
        return None if picture is None else {"input": picture}

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with the pictures from ``start_index`` to before ``end_index``."""
        self._next = iter(self._inputs[start_index:end_index])


def main(model: str, inputs: str, out: str) -> None:
    """Quantize as onnxruntime's documentation advises, with the vendor table's calibrator."""
    prepared = str(Path(out).with_suffix(".prepared.onnx"))
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        Reader(np.load(inputs)),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod.Percentile,
        # Without it every tensor of every picture is kept at once.
        extra_options={"CalibStridedMinMax": 1},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
