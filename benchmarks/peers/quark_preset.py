"""Quantize with AMD Quark's A8W8 preset: int8 activations and weights, min-max ranges.

python quark_preset.py FLOAT.onnx INPUTS.npy OUT.onnx
"""

import sys

import numpy as np
from onnxruntime_percentile import Reader
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config.config import Config
from quark.onnx.quantization.config.custom_config import get_default_config


def main(model: str, inputs: str, out: str) -> None:
    """Quantize with the preset as it comes."""
    quantizer = ModelQuantizer(Config(global_quant_config=get_default_config("A8W8")))
    quantizer.quantize_model(model, out, Reader(np.load(inputs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
