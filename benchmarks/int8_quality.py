"""Compare int8 models with float: ours for each target, beside those of other toolkits.

    python benchmarks/int8_quality.py x4plus-anime-6b x4plus --data DIV2K --out dist/quality
    python benchmarks/int8_quality.py x4plus --data DIV2K --settings ort --peers aimet --pairs 9
    python benchmarks/int8_quality.py general-x4v3=CHECKPOINT --data DIV2K --real DIR --pairs 0
    python benchmarks/int8_quality.py x4plus --data DIV2K --peers --also "--head int8"

Every candidate is calibrated on the same 50 LR pictures of DIV2K, none of which has an HR partner,
and scored on all pairs (benchmarks/quality/pairs.py); with ``--real DIR`` also on the middle tiles
of the photographs in a folder (tiles.py beside it).

Ours are made by ``esrdeploy build`` with the settings of benchmarks/quality/builds.py, and
``--effort high`` where that is asked for, and once more with each of what ``--also`` names; a
build calibrates once and makes all its targets, so its targets share one time. The others are made
from our float file by the scripts in benchmarks/peers/, each in a virtual environment of its own.
Whatever is finished under ``--out`` is not made again.

The documentation site draws its charts from these tables (tools/site/charts.py).
"""

import argparse
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from peers.toolkits import PEERS
from quality.builds import (
    CALIBRATION_COUNT,
    SETTINGS,
    Candidate,
    Network,
    Setting,
    build_ours,
    our_candidates,
    peer_candidate,
)
from quality.pairs import PairsTable
from quality.tiles import TilesTable

from calib.choose_patches import folder_patches
from calib.dataset import PatchSet
from calib.div2k import evaluation_pairs

SEED = 0


def candidates(
    network: Network, float_model: Path, options: argparse.Namespace, patches: PatchSet
) -> Iterator[Candidate | str]:
    """Yield every int8 candidate as it is made; words where a toolkit fails."""
    for name, also in product(options.settings, ("", *options.also)):
        setting = Setting(name, options.effort, also)
        folder = build_ours(network, setting, options.data, options.out)
        yield from our_candidates(folder, network, setting)
    for name in options.peers:
        peer, folder = PEERS[name], options.out / "peers"
        try:
            yield peer_candidate(peer, float_model, patches, folder, options.out / "venvs")
        except subprocess.CalledProcessError as error:
            yield f"{name} failed with {error.returncode}; see its log"


def tables_of(network: Network, options: argparse.Namespace, patches: PatchSet) -> Iterator[str]:
    """Make and score every candidate of one network; yield its tables line by line."""
    first = Setting(options.settings[0], options.effort)
    folder = build_ours(network, first, options.data, options.out)
    float_model = folder / f"{network.name}-fp32.onnx"
    found = list(candidates(network, float_model, options, patches))
    yield f"### {network.name}"
    for table in _tables(float_model, options, patches):
        yield from table.head()
        for one in found:
            yield table.failed(one) if isinstance(one, str) else table.line(one)


def _tables(
    float_model: Path, options: argparse.Namespace, patches: PatchSet
) -> Iterator[PairsTable | TilesTable]:
    pairs = evaluation_pairs(options.data)[: options.pairs]
    if pairs:
        yield PairsTable.of(float_model, pairs, patches)
    if options.real is not None:
        yield TilesTable.of(float_model, options.real)


def main() -> None:
    """Print the tables of each network named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "networks", nargs="+", type=Network.of, help="names, such as x4plus, or NAME=CHECKPOINT"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in DIV2K layout")
    parser.add_argument("--real", type=Path, help="folder of photographs: their middle tiles too")
    parser.add_argument("--out", type=Path, default=Path("dist/quality"))
    parser.add_argument(
        "--settings", nargs="+", choices=SETTINGS, default=["default", "full-integer"]
    )
    parser.add_argument("--effort", choices=("normal", "high"), default="normal")
    parser.add_argument(
        "--also",
        nargs="+",
        default=(),
        metavar='"--OPTION VALUE"',
        help="build each setting with these options of esrdeploy build as well",
    )
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--pairs", type=int, help="only the first so many pairs; 0: none")
    options = parser.parse_args()
    patches = folder_patches(options.data, mode="whole", count=CALIBRATION_COUNT, seed=SEED)
    for network in options.networks:
        for line in tables_of(network, options, patches):
            print(line, flush=True)


if __name__ == "__main__":
    main()
