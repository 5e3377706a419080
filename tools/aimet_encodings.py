"""Compare what AIMET makes of a bundle's encodings with our QDQ models.

    python -m venv aimet
    aimet/bin/pip install torch==2.13.0
    aimet/bin/pip install 'aimet-onnx==2.42.*'
    esrdeploy handoff --vendor qnn dist/x4plus-anime-6b --out handoff.zip
    python -m zipfile -e handoff.zip bundle
    aimet/bin/python tools/aimet_encodings.py bundle

Runs in AIMET's environment and needs nothing of ours. The encodings are loaded strictly: AIMET
raises where one differs in kind from the quantizer it is for. Then every golden input is run in
AIMET's simulation. With 16-bit activations it has to agree with our QDQ model; with 8 bits one
step more or less in an early layer becomes another picture at the same distance from float, so
there both distances from float are what to look at.
"""

import argparse
from pathlib import Path

import aimet_onnx
import numpy as np
import onnx
from aimet_onnx.common.defs import QuantScheme
from aimet_onnx.quantsim import QuantizationSimModel, load_encodings_to_sim

PROFILES = {"w8a8": ("int8", "int8-qnn"), "w8a16": ("int16", "int8-qnn-w8a16")}


def simulated(folder: Path, name: str, activations: str) -> QuantizationSimModel:
    """Return AIMET's simulation of the float graph under our encodings.

    Raises:
        AssertionError, RuntimeError, ValueError: AIMET does not take the encodings.
    """
    (path,) = folder.glob(f"*-fp32-{name}-grid.onnx")
    simulation = QuantizationSimModel(
        onnx.load(path),
        param_type=aimet_onnx.int8,
        activation_type=getattr(aimet_onnx, activations),
        quant_scheme=QuantScheme.min_max,
        config_file="htp_v69",
        providers=["CPUExecutionProvider"],
    )
    load_encodings_to_sim(simulation, str(path.with_suffix(".encodings.json")), strict=True)
    return simulation


def parity_db(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Return the PSNR between two pictures clipped to [0, 1], in dB."""
    error = np.clip(reference, 0.0, 1.0) - np.clip(candidate, 0.0, 1.0)
    return float(-10.0 * np.log10(np.square(error, dtype=np.float64).mean()))


def main() -> None:
    """Load and run both encodings; print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="folder of an unpacked bundle with qnn/")
    golden = parser.parse_args().bundle / "golden"
    print("| encodings | AIMET from float, dB | our QDQ from float, dB | AIMET from our QDQ, dB |")
    print("|---|---|---|---|")
    for name, (activations, outputs) in PROFILES.items():
        # The session reads the simulation's memory, which has to outlive it.
        simulation = simulated(golden.parent / "qnn", name, activations)
        rows = []
        for path in sorted((golden / "input").glob("*.npy")):
            (found,) = simulation.session.run(None, {"input": np.load(path)})
            expected, ours = (np.load(golden / kind / path.name) for kind in ("float", outputs))
            pairs = ((expected, found), (expected, ours), (ours, found))
            rows.append([parity_db(*pair) for pair in pairs])
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    main()
