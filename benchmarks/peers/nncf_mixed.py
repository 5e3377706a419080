"""Quantize with NNCF's post-training quantization: mixed preset, fast bias correction.

python nncf_mixed.py FLOAT.onnx INPUTS.npy OUT.onnx
"""

import sys

import nncf
import numpy as np
import onnx


def main(model: str, inputs: str, out: str) -> None:
    """Quantize with every picture that was given."""
    pictures = np.load(inputs)
    quantized = nncf.quantize(
        onnx.load(model),
        nncf.Dataset(list(pictures), lambda picture: {"input": picture}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        fast_bias_correction=True,
    )
    onnx.save(quantized, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
