"""Compare int8 models on DIV2K: ours for each target, beside those of other toolkits.

    python benchmarks/int8_quality.py x4plus-anime-6b x4plus --data DIV2K --out dist/quality
    python benchmarks/int8_quality.py x4plus --data DIV2K --settings ort --peers aimet --pairs 9

Every candidate is calibrated on the same 50 LR pictures, none of which has an HR partner, and
scored on all pairs by the vendor table's protocol (deploy/evaluate/protocols.py), in QDQ reference
semantics; the float model runs optimized, which differs from unoptimized by rounding alone.
Parity is measured against the float model on outputs clipped to [0, 1].

Ours are made by ``esrdeploy build`` with the settings of :data:`SETTINGS`; a build calibrates once
and makes all its targets, so its targets share one time. The others are made from our float file
by the scripts in benchmarks/peers/, each in a virtual environment of its own. Times, wall and
processor, and peak memory are those of the whole process. Whatever is finished under ``--out`` is
not made again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measured import Cost, run_measured
from peers.toolkits import PEERS, Peer

from calib.arrays import Float32
from calib.choose_patches import folder_patches
from calib.colours import RGB
from calib.dataset import PatchSet
from calib.digest import sha256_bytes, sha256_file
from calib.div2k import Pair, evaluation_pairs
from calib.errors import VerificationError
from calib.images import Picture, read_image, resize_area, to_input, to_picture
from calib.tile import USUAL_PX
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.evaluate.protocols import reference_picture
from deploy.metrics.psnr_ssim import parity_db, psnr_db, ssim
from deploy.runtime.runner import model_runner

CALIBRATION_COUNT = 50
SEED = 0

SETTINGS = {
    "default": ("ort", "tensorrt", "openvino"),
    "full-integer": ("ort",),
    "npu": ("qnn", "qnn-w8a16"),
    "ort": ("ort",),
}
"""Targets by what the build is called; ``full-integer`` adds that option."""


@dataclass(frozen=True)
class Candidate:
    """One model of the table."""

    label: str
    path: Path
    cost: Cost | None


@dataclass(frozen=True)
class Score:
    """One model on one pair."""

    name: str
    psnr_db: float
    ssim: float
    parity_db: float


@dataclass(frozen=True, eq=False)
class Scored:
    """A pair ready for scoring: the network's input, the HR picture, what the float model drew."""

    name: str
    network_input: Float32
    photograph: Picture
    expected: Float32


def keep_cost(cost: Cost, record: Path) -> None:
    """Leave what a finished process cost; with it, its result counts as finished."""
    record.write_text(json.dumps(asdict(cost)))


def read_cost(record: Path) -> Cost | None:
    """Return what :func:`keep_cost` left, ``None`` if nothing is finished there."""
    return Cost(**json.loads(record.read_text())) if record.is_file() else None


def build_ours(model: str, setting: str, data: Path, out: Path) -> Path:
    """Return the folder of our build; build it where it is not finished."""
    folder = out / setting
    record = folder / f"{model}.cost.json"
    if not record.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        options = [word for target in SETTINGS[setting] for word in ("--target", target)]
        if setting == "full-integer":
            options.append("--full-integer")
        entry = "from deploy.cli import main; main()"
        command = [sys.executable, "-c", entry, "build", "--model", model, *options]
        command += ["--calib", data, "--calib-count", str(CALIBRATION_COUNT), "--out", folder]
        keep_cost(run_measured(command, folder / f"{model}.log"), record)
    return folder / model


def our_candidates(folder: Path, setting: str, cost: Cost | None) -> Iterator[Candidate]:
    """Yield the int8 models of a build."""
    for item in read_manifest(folder / MANIFEST_NAME).models():
        if item.precision == "int8":
            kind = " --full-integer" if setting == "full-integer" else ""
            target = item.path.removesuffix(".onnx").split("-int8-")[1]
            yield Candidate(f"esrdeploy `{target}`{kind}", folder / item.path, cost)


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
        keep_cost(cost, record)
    return Candidate(peer.label(python), path, read_cost(record))


def prepared_pairs(
    float_model: Path, pairs: Sequence[Pair], calibrated_on: PatchSet
) -> list[Scored]:
    """Run the float model on every pair.

    Raises:
        VerificationError: a pair was calibrated on.
    """
    known = {patch.sha256 for patch in calibrated_on.patches}
    run = model_runner(float_model, optimized=True)
    prepared = []
    for pair in pairs:
        small = resize_area(read_image(pair.lr), USUAL_PX, USUAL_PX)
        if sha256_bytes(small.tobytes()) in known:
            raise VerificationError(f"{pair.name} was calibrated on; score on others")
        network_input = to_input(small, RGB)
        expected = np.clip(run(network_input), 0.0, 1.0)
        scale = expected.shape[-1] // USUAL_PX
        photograph = reference_picture(pair, scale)
        prepared.append(Scored(pair.name, network_input, photograph, expected))
    return prepared


def scores(path: Path, pairs: Sequence[Scored]) -> list[Score]:
    """Score one model in QDQ reference semantics; the scores are kept beside its file."""
    record = path.with_suffix(".scores.json")
    digest = sha256_file(path)
    names = [pair.name for pair in pairs]
    if record.is_file():
        known: dict[str, Any] = json.loads(record.read_text())
        found = [Score(**row) for row in known["rows"] if row["name"] in names]
        if known["sha256"] == digest and [row.name for row in found] == names:
            return found
    run = model_runner(path, optimized=False)
    rows = []
    for number, pair in enumerate(pairs, 1):
        output = np.clip(run(pair.network_input), 0.0, 1.0)
        rows.append(_score(pair, output))
        print(f"{path.name}: {number}/{len(pairs)} {pair.name}", file=sys.stderr, flush=True)
    kept = {"sha256": digest, "rows": [asdict(row) for row in rows]}
    record.write_text(json.dumps(kept, indent=1))
    return rows


def _score(pair: Scored, output: Float32) -> Score:
    picture = to_picture(output)
    return Score(
        pair.name,
        psnr_db(pair.photograph, picture),
        ssim(pair.photograph, picture),
        parity_db(pair.expected, output),
    )


HEAD = """\
| int8 | PSNR dB | less float's | SSIM | less float's | parity dB mean | min | of fp32 | wall s \
| CPU s | peak MB |
|---|---|---|---|---|---|---|---|---|---|---|"""


def table_line(
    candidate: Candidate, rows: Sequence[Score], floats: Sequence[Score], float_bytes: int
) -> str:
    """Return one line of the table."""
    psnr, similarity = (np.mean([getattr(r, f) for r in rows]) for f in ("psnr_db", "ssim"))
    parity = [row.parity_db for row in rows]
    psnr_change = psnr - np.mean([row.psnr_db for row in floats])
    ssim_change = similarity - np.mean([row.ssim for row in floats])
    cost = candidate.cost
    figures = (cost.seconds, cost.cpu_seconds, cost.peak_mb) if cost is not None else ()
    spent = " | ".join(f"{figure:.0f}" for figure in figures) or "- | - | -"
    return (
        f"| {candidate.label} | {psnr:.3f} | {psnr_change:+.4f} | {similarity:.4f} | "
        f"{ssim_change:+.4f} | {np.mean(parity):.2f} | {min(parity):.2f} | "
        f"{candidate.path.stat().st_size / float_bytes:.1%} | {spent} |"
    )


def candidates(
    model: str, float_model: Path, options: argparse.Namespace, patches: PatchSet
) -> Iterator[Candidate | str]:
    """Yield every int8 candidate as it is made; a line of text where a toolkit fails."""
    for setting in options.settings:
        folder = build_ours(model, setting, options.data, options.out)
        cost = read_cost(options.out / setting / f"{model}.cost.json")
        yield from our_candidates(folder, setting, cost)
    for name in options.peers:
        peer = PEERS[name]
        try:
            yield peer_candidate(
                peer, float_model, patches, options.out / "peers", options.out / "venvs"
            )
        except subprocess.CalledProcessError as error:
            yield f"| {name} | failed with {error.returncode}; see its log | | | | | | | | | |"


def table_of(
    model: str, options: argparse.Namespace, pairs: Sequence[Pair], patches: PatchSet
) -> str:
    """Make and score every candidate of one model; print each line as it is known."""
    folder = build_ours(model, options.settings[0], options.data, options.out)
    float_model = folder / f"{model}-fp32.onnx"
    float_bytes = float_model.stat().st_size
    prepared = prepared_pairs(float_model, pairs, patches)
    floats = [_score(pair, pair.expected) for pair in prepared]
    psnr, similarity = (np.mean([getattr(r, f) for r in floats]) for f in ("psnr_db", "ssim"))
    head = f"{model}: {len(pairs)} pairs, {len(patches)} calibration pictures"
    lines = [
        f"### {head}\n\n{HEAD}",
        f"| float | {psnr:.3f} | - | {similarity:.4f} | - | - | - | - | - | - | - |",
    ]
    for found in candidates(model, float_model, options, patches):
        if isinstance(found, str):
            lines.append(found)
        else:
            lines.append(table_line(found, scores(found.path, prepared), floats, float_bytes))
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print one table per model named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="names of networks, such as x4plus")
    parser.add_argument("--data", type=Path, required=True, help="folder in DIV2K layout")
    parser.add_argument("--out", type=Path, default=Path("dist/quality"))
    parser.add_argument(
        "--settings", nargs="+", choices=SETTINGS, default=["default", "full-integer"]
    )
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--pairs", type=int, help="only the first so many pairs")
    options = parser.parse_args()
    pairs = evaluation_pairs(options.data)[: options.pairs]
    patches = folder_patches(options.data, mode="whole", count=CALIBRATION_COUNT, seed=SEED)
    print("\n\n".join(table_of(model, options, pairs, patches) for model in options.models))


if __name__ == "__main__":
    main()
