"""Measure how fast a build enlarges photographs beside other programs, and how near to float.

    python benchmarks/upscale.py dist/x4plus 510x339.png 1020x678.png --rounds 3

Every program reads the picture, enlarges it and writes a PNG, in a process of its own, one after
the other, round by round: start-up and loading count, as they do for whoever runs it. Seconds are
the least of the rounds, ``times`` is the median over the rounds of the fastest float32 program's
time (of the other programs') by this one's in the same round. Parity is the PSNR with what torch
makes of the whole picture, both at 8 bits; ``identical`` says that every pixel is the same.

The build holds int8 files for the runtimes that are compared:

    esrdeploy build --model x4plus --precision int8 --target ort --target openvino
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from measured import Cost, run_measured

from calib.images import read_image
from deploy.metrics.decibels import decibels
from deploy.metrics.psnr_ssim import psnr_db
from deploy.runtime.cpu import this_machine

PEER = Path(__file__).parent / "peers" / "enlarge.py"
PEERS = {
    "torch, whole picture": "torch",
    "torch, tiles of 400, pad 10": "torch-tiled",
    "OpenVINO float, whole picture": "openvino",
    "ncnn, tiles of 200, pad 10": "ncnn",
}
OURS = {
    f"esrdeploy {precision}, {backend}": ("--precision", precision, "--backend", backend)
    for precision in ("int8", "fp32")
    for backend in ("openvino", "ort")
}
TRUTH = "torch, whole picture"

HEAD = """\
| program | s | times | peak MB | parity dB |
|---|---|---|---|---|"""


def command(program: str, build: Path, source: Path, out: Path) -> list[str]:
    """Return the command line of a program."""
    if program in PEERS:
        return [sys.executable, str(PEER), PEERS[program], str(build), str(source), str(out)]
    call = "import sys; from deploy.cli import main; sys.argv[0] = 'esrdeploy'; main()"
    words = ["upscale", str(source), str(out), "--model", str(build), "--overwrite"]
    return [sys.executable, "-c", call, *words, *OURS[program]]


def measure(
    programs: Sequence[str], build: Path, source: Path, rounds: int, folder: Path
) -> dict[str, list[Cost]]:
    """Run each program once a round; what it draws lies in ``folder`` under its number."""
    costs: dict[str, list[Cost]] = {program: [] for program in programs}
    for number in range(rounds):
        for program in programs:
            out = folder / f"{programs.index(program)}.png"
            log = folder / "log.txt"
            costs[program].append(run_measured(command(program, build, source, out), log))
            seconds = costs[program][-1].seconds
            print(f"round {number + 1}, {program}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return costs


def lines(programs: Sequence[str], costs: dict[str, list[Cost]], folder: Path) -> Iterator[str]:
    """Yield a line of the table for each program."""
    drawn = [read_image(folder / f"{number}.png") for number in range(len(programs))]
    truth = drawn[programs.index(TRUTH)]
    floats = [program for program in programs if program in PEERS]
    for program, picture in zip(programs, drawn, strict=True):
        own = costs[program]
        ratios = [
            min(costs[peer][number].seconds for peer in floats) / cost.seconds
            for number, cost in enumerate(own)
        ]
        yield (
            f"| {program} | {min(cost.seconds for cost in own):.1f} | "
            f"{statistics.median(ratios):.2f} | {max(cost.peak_mb for cost in own):.0f} | "
            f"{decibels(psnr_db(truth, picture))} |"
        )


def main() -> None:
    """Print a table for each picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of a build of an official model")
    parser.add_argument("pictures", type=Path, nargs="+", help="photographs, RGB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    arguments = parser.parse_args()
    programs = [name for name in (*PEERS, *OURS) if name not in arguments.without]
    print(f"{this_machine()}; {arguments.build.name}, {arguments.rounds} rounds")
    for source in arguments.pictures:
        height, width = read_image(source).shape[:2]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            costs = measure(programs, arguments.build, source, arguments.rounds, folder)
            print(f"\n{source.name}, {width}x{height}\n\n{HEAD}")
            for line in lines(programs, costs, folder):
                print(line, flush=True)


if __name__ == "__main__":
    main()
