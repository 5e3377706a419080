"""Builds and DIV2K pairs in, a table of PSNR, SSIM and parity out.

    esrdeploy build --model x4plus-anime-6b --calib DIV2K --calib-count 50
    python benchmarks/int8_quality.py --data DIV2K dist/x4plus-anime-6b

Every model of a build is run in the meaning of its file (graph optimizations off; the float
model optimized, which differs from it by rounding alone) on the pairs of the folder, by the
vendor table's protocol (deploy/evaluation.py). Parity is measured on outputs clipped to [0, 1].
Pairs that the build was calibrated on are refused.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib.digest import sha256_bytes
from calib.div2k import Pair, evaluation_pairs
from calib.errors import VerificationError
from calib.images import PATCH_PX, read_image, resize_area, to_input, to_picture
from deploy.artifacts import MANIFEST_NAME, Artifact
from deploy.checks import load_build
from deploy.evaluation import reference_picture
from deploy.manifest import read_manifest
from deploy.metrics import parity_db, psnr_db, ssim
from deploy.running import model_runner


@dataclass(frozen=True)
class Row:
    """One model on one pair."""

    psnr_db: float
    ssim: float
    parity_db: float


def score_build(folder: Path, pairs: Sequence[Pair]) -> dict[str, list[Row]]:
    """Run every model of a build on every pair; one inference per model and pair."""
    manifest = read_manifest(folder / MANIFEST_NAME)
    paths = [artifact.path for artifact in manifest.artifacts]
    build, _ = load_build(folder, manifest, paths)
    reference = manifest.float_artifact.path
    runners = {
        name: model_runner(model, optimized=name == reference)
        for name, model in build.models.items()
    }
    rows: dict[str, list[Row]] = {name: [] for name in runners}
    for number, pair in enumerate(pairs, 1):
        small = resize_area(read_image(pair.lr), PATCH_PX, PATCH_PX)
        if sha256_bytes(small.tobytes()) in build.calibrated_on:
            raise VerificationError(f"{folder} was calibrated on {pair.name}; score on others")
        photograph = reference_picture(pair, int(manifest.network["scale"]))
        expected = np.clip(runners[reference](to_input(small)), 0.0, 1.0)
        for name, run in runners.items():
            output = expected if name == reference else np.clip(run(to_input(small)), 0.0, 1.0)
            picture = to_picture(output)
            rows[name].append(
                Row(
                    psnr_db(photograph, picture),
                    ssim(photograph, picture),
                    parity_db(expected, output),
                )
            )
        print(f"{folder.name}: {number}/{len(pairs)} {pair.name}", file=sys.stderr)
    return rows


def table_rows(folder: Path, rows: dict[str, list[Row]]) -> list[str]:
    """Return one line of markdown per model, the float model first."""
    manifest = read_manifest(folder / MANIFEST_NAME)
    floats = rows[manifest.float_artifact.path]
    return [
        _line(item, rows[item.path], floats, manifest.float_artifact) for item in manifest.models()
    ]


def _line(item: Artifact, rows: list[Row], floats: list[Row], reference: Artifact) -> str:
    psnr, similarity = (float(np.mean([getattr(r, f) for r in rows])) for f in ("psnr_db", "ssim"))
    psnr_drop = float(np.mean([r.psnr_db for r in floats])) - psnr
    ssim_drop = float(np.mean([r.ssim for r in floats])) - similarity
    parity = [r.parity_db for r in rows]
    agreement = "- | -" if item is reference else f"{np.mean(parity):.2f} | {min(parity):.2f}"
    share = item.size_bytes / reference.size_bytes
    return (
        f"| {item.path} | {psnr:.3f} | {psnr_drop:+.4f} | {similarity:.4f} | {ssim_drop:+.4f} | "
        f"{agreement} | {share:.1%} |"
    )


def main() -> None:
    """Score the builds named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+", type=Path, help="folders that esrdeploy build made")
    parser.add_argument("--data", type=Path, required=True, help="folder in DIV2K layout")
    parser.add_argument("--count", type=int, help="only the first COUNT pairs")
    arguments = parser.parse_args()
    pairs = evaluation_pairs(arguments.data)[: arguments.count]
    print(f"{len(pairs)} pairs, drop = float - model")
    print("| model | PSNR dB | drop | SSIM | drop | parity dB mean | min | size |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in arguments.builds:
        print("\n".join(table_rows(folder, score_build(folder, pairs))), flush=True)


if __name__ == "__main__":
    main()
