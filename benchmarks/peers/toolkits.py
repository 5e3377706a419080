"""List the toolkits that int8_quality.py holds beside ours, and make their environments."""

import json
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Peer:
    """Another toolkit.

    Attributes:
        name: as the table calls it.
        distribution: the package whose version the table gives.
        setting: which of its settings is taken.
        script: quantizes: ``script FLOAT.onnx INPUTS.npy OUT.onnx``, the inputs float32
            ``[N, 1, 3, 128, 128]`` in [0, 1].
        packages: what pip installs, in this order, one call each.
    """

    name: str
    distribution: str
    setting: str
    script: Path
    packages: tuple[tuple[str, ...], ...]

    def environment(self, folder: Path) -> Path:
        """Return the Python of this toolkit's environment; make it where it is not finished.

        Raises:
            subprocess.CalledProcessError: pip failed.
        """
        root = (folder / self.script.stem).absolute()
        python = root / "bin" / "python"
        marker = root / "installed.json"
        wanted = json.dumps(self.packages)
        if not marker.is_file() or marker.read_text() != wanted:
            venv.create(root, clear=True, with_pip=True)
            for packages in self.packages:
                command = [str(python), "-m", "pip", "install", "--quiet", *packages]
                subprocess.run(command, check=True)
            marker.write_text(wanted)
        return python

    def label(self, python: Path) -> str:
        """Return name, installed version and setting."""
        code = f"import importlib.metadata as m; print(m.version({self.distribution!r}))"
        version = subprocess.run(
            [str(python), "-c", code], check=True, capture_output=True, text=True
        )
        return f"{self.name} {version.stdout.strip()}, {self.setting}"


PEERS = {
    "onnxruntime": Peer(
        "onnxruntime",
        "onnxruntime",
        "percentile, U8S8",
        _HERE / "onnxruntime_percentile.py",
        (("onnxruntime==1.32.*", "onnx", "sympy"),),
    ),
    "nncf": Peer(
        "NNCF",
        "nncf",
        "mixed preset, fast bias correction",
        _HERE / "nncf_mixed.py",
        (("nncf==3.4.*", "onnx", "onnxruntime"),),
    ),
    "aimet": Peer(
        "AIMET",
        "aimet-onnx",
        "htp_v73, tf_enhanced",
        _HERE / "aimet_htp.py",
        ((_TORCH,), ("aimet-onnx==2.42.*",)),
    ),
    "quark": Peer(
        "Quark",
        "amd-quark",
        "A8W8 preset",
        _HERE / "quark_preset.py",
        ((_TORCH,), ("amd-quark==0.13.*", "onnx", "onnxruntime")),
    ),
}
