"""Quantize with AIMET, simulated for Qualcomm's HTP v73: tf_enhanced ranges, 8 bits, no AdaRound.

python aimet_htp.py FLOAT.onnx INPUTS.npy OUT.onnx
"""

import sys

import aimet_onnx
import numpy as np
import onnx
from aimet_onnx.common.defs import QuantScheme
from aimet_onnx.quantsim import QuantizationSimModel


def main(model: str, inputs: str, out: str) -> None:
    """Calibrate the simulation and write what it simulates as a QDQ model."""
    simulation = QuantizationSimModel(
        onnx.load(model),
        param_type=aimet_onnx.int8,
        activation_type=aimet_onnx.int8,
        quant_scheme=QuantScheme.post_training_tf_enhanced,
        config_file="htp_v73",
        providers=["CPUExecutionProvider"],
    )
    simulation.compute_encodings([{"input": picture} for picture in np.load(inputs)])
    onnx.save(simulation.to_onnx_qdq(), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
