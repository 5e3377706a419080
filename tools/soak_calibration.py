"""Calibrate on many pictures with workers that die, and compare the table with one process's.

    python tools/soak_calibration.py 5000 --workers 8

The pictures are generated, 128x128, the network is of one block. Workers of a Dask cluster on this
machine are killed with SIGKILL at random moments; the cluster starts others. Exits 1 if a byte of
the two tables differs, or if this process comes to hold more memory than a few pictures explain.
"""

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import distributed
import numpy as np
import onnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from calib.calibrate import calibrate  # noqa: E402  # from beside this script
from calib.cluster import calibrate_on_cluster  # noqa: E402
from calib.colours import RGB  # noqa: E402
from calib.dataset import PatchRef, PatchSet  # noqa: E402
from calib.images import Picture, to_input  # noqa: E402
from calib.table import CalibrationTable  # noqa: E402
from calib.views import WholeView  # noqa: E402
from calib.workers import local_cluster  # noqa: E402
from deploy.network.load import load_network  # noqa: E402
from quant.analysis.tensor_distributions import observed_tensors  # noqa: E402
from tools.small_network import write_small_network  # noqa: E402

_SIDE_PX = 128
_MORE_MB = 300.0  # the client's part of a cluster, and pictures on their way
_PICTURES_BETWEEN = (20, 200)
"""Pictures between two kills. A picture is given up when three workers that had it have died."""


@dataclass(frozen=True)
class Generated:
    """A picture of smooth colours and noise, a function of its number."""

    number: int

    @property
    def name(self) -> str:
        """What it is called."""
        return f"generated-{self.number:05}"

    def read(self) -> Picture:
        """Return uint8 [128, 128, 3] in RGB."""
        generator = np.random.default_rng(self.number)
        coarse = generator.integers(0, 256, (8, 8, 3))
        smooth = np.kron(coarse, np.ones((_SIDE_PX // 8, _SIDE_PX // 8, 1)))
        noisy = smooth + generator.normal(0, 12, smooth.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)


def generated_patches(count: int) -> PatchSet:
    """Return that many pictures by description."""
    photos = map(Generated, range(count))
    refs = tuple(PatchRef.describe(photo, WholeView(), photo.read()) for photo in photos)
    return PatchSet("folder", "whole", 0, count, refs)


def small_graph(folder: Path) -> onnx.ModelProto:
    """Return the float graph of the small network."""
    network = load_network("small", write_small_network(folder / "small.safetensors"))
    return network.export([to_input(Generated(0).read(), RGB)]).model


def saved(table: CalibrationTable, folder: Path) -> list[bytes]:
    """Return the bytes of a table's files."""
    folder.mkdir()
    table.save(folder / "calibration.json")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


class Killer:
    """Kills a worker whenever another share of the pictures is done."""

    def __init__(self, client: distributed.Client, chance: random.Random) -> None:
        self.killed = 0
        self._client, self._chance = client, chance
        self._next = chance.randint(*_PICTURES_BETWEEN)

    def __call__(self, done: int, _: int) -> None:
        """Kill one of the workers if it is time; the cluster starts another."""
        if done < self._next:
            return
        self._next = done + self._chance.randint(*_PICTURES_BETWEEN)
        pids = self._client.run(os.getpid, on_error="ignore").values()
        with suppress(ProcessLookupError):  # it has died meanwhile
            os.kill(self._chance.choice(sorted(pids)), signal.SIGKILL)
            self.killed += 1


def peak_mb() -> float:
    """Return the most memory that this process has held, 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Calibrate alone, then with workers that die, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=int)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311  # moments are no secrets
    with tempfile.TemporaryDirectory(prefix="esrdeploy-soak-") as temporary:
        folder, patches = Path(temporary), generated_patches(options.pictures)
        graph = small_graph(folder)
        tensors = observed_tensors(graph)
        few = PatchSet("folder", "whole", 0, 8, patches.patches[:8])
        calibrate(graph, tensors, few)
        before_mb = peak_mb()
        alone = saved(calibrate(graph, tensors, patches), folder / "alone")
        print(f"alone: {options.pictures} pictures, {len(tensors)} tensors", flush=True)
        with local_cluster(options.workers) as client:
            killer = Killer(client, chance)
            made = calibrate_on_cluster(graph, tensors, patches, client, on_image=killer)
        together = saved(made, folder / "together")
        more_mb = peak_mb() - before_mb
    same = together == alone
    print(
        f"{options.workers} workers, {killer.killed} killed: {sum(map(len, alone))} bytes "
        f"{'are the same' if same else 'DIFFER'}; {more_mb:.0f} MB more than for 8 pictures"
    )
    raise SystemExit(0 if same and more_mb < _MORE_MB else 1)


if __name__ == "__main__":
    main()
