"""Make the int8 models that are compared: ours by the command, others by benchmarks/peers.

Whatever is finished is not made again. Times, wall and processor, and peak memory are those of the
whole process.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from measured import Cost, run_measured
from peers.toolkits import Peer

from calib.colours import RGB
from calib.dataset import PatchSet
from calib.images import to_input
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest

CALIBRATION_COUNT = 50

SETTINGS = {
    "default": ("ort", "tensorrt", "tensorrt-10", "openvino"),
    "full-integer": ("ort",),
    "npu": ("qnn", "qnn-w8a16"),
    "ort": ("ort",),
    "qnn": ("qnn",),
    "tensorrt": ("tensorrt",),
}
"""Targets by what the build is called; ``full-integer`` adds that option."""


@dataclass(frozen=True)
class Candidate:
    """One model of a table."""

    label: str
    path: Path
    cost: Cost | None


@dataclass(frozen=True)
class Network:
    """A network to be built.

    Attributes:
        name: as in ``esrdeploy models``.
        weights: a checkpoint of it; ``None``: those that come with the installation.
    """

    name: str
    weights: Path | None

    @classmethod
    def of(cls, words: str) -> "Network":
        """Return the network that ``NAME`` or ``NAME=CHECKPOINT`` means."""
        name, _, weights = words.partition("=")
        return cls(name, Path(weights) if weights else None)


@dataclass(frozen=True)
class Setting:
    """How a network is built.

    Attributes:
        name: one of :data:`SETTINGS`.
        effort: ``normal`` or ``high``.
        also: further options of ``esrdeploy build``, as on a command line.
    """

    name: str
    effort: str
    also: str = ""

    @property
    def folder(self) -> str:
        """Return what the folder of its builds is called."""
        named = self.name if self.effort == "normal" else f"{self.name}-{self.effort}-effort"
        return "-".join([named, *self.also.replace("--", "").split()])

    @property
    def options(self) -> list[str]:
        """The options of ``esrdeploy build``."""
        options = [word for target in SETTINGS[self.name] for word in ("--target", target)]
        return [*options, *self.shown.split()]

    @property
    def shown(self) -> str:
        """The options that a table shows."""
        full_integer = "--full-integer" if self.name == "full-integer" else ""
        effort = "" if self.effort == "normal" else f"--effort {self.effort}"
        return "".join(f" {words}" for words in (full_integer, self.also.strip(), effort) if words)


def build_ours(network: Network, setting: Setting, data: Path, out: Path) -> Path:
    """Return the folder of our build; build it where it is not finished.

    Raises:
        subprocess.CalledProcessError: the build failed.
    """
    folder = out / setting.folder
    record = _cost_record(folder, network)
    if not record.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        entry = "from deploy.cli import main; main()"
        command = [sys.executable, "-c", entry, "build", "--model", network.name]
        command += setting.options
        if network.weights is not None:
            command += ["--weights", network.weights]
        command += ["--calib", data, "--calib-count", str(CALIBRATION_COUNT), "--out", folder]
        _keep_cost(run_measured(command, folder / f"{network.name}.log"), record)
    return folder / network.name


def our_candidates(folder: Path, network: Network, setting: Setting) -> Iterator[Candidate]:
    """Yield the int8 models of a build."""
    cost = _read_cost(_cost_record(folder.parent, network))
    for item in read_manifest(folder / MANIFEST_NAME).models():
        if item.precision == "int8":
            target = item.path.removesuffix(".onnx").split("-int8-")[1]
            yield Candidate(f"esrdeploy `{target}`{setting.shown}", folder / item.path, cost)


def peer_candidate(
    peer: Peer, float_model: Path, patches: PatchSet, folder: Path, venvs: Path
) -> Candidate:
    """Return another toolkit's model of the float file; make it where it is not finished.

    Raises:
        subprocess.CalledProcessError: the toolkit cannot be installed, or fails.
    """
    python = peer.environment(venvs)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / float_model.name.replace("-fp32", f"-int8-{peer.script.stem}")
    record = path.with_suffix(".cost.json")
    if not record.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            inputs = Path(scratch) / "inputs.npy"
            np.save(inputs, np.stack([to_input(patch.load(), RGB) for patch in patches.patches]))
            command = [python, peer.script, float_model.absolute(), inputs, path.absolute()]
            # Some leave files of their own where they run.
            cost = run_measured(command, path.with_suffix(".log"), folder=Path(scratch))
        _keep_cost(cost, record)
    return Candidate(peer.label(python), path, _read_cost(record))


def _cost_record(folder: Path, network: Network) -> Path:
    return folder / f"{network.name}.cost.json"


def _keep_cost(cost: Cost, record: Path) -> None:
    """Leave what a finished process cost; with it, its result counts as finished."""
    record.write_text(json.dumps(asdict(cost)))


def _read_cost(record: Path) -> Cost | None:
    """Return what :func:`_keep_cost` left, ``None`` if nothing is finished there."""
    return Cost(**json.loads(record.read_text())) if record.is_file() else None
