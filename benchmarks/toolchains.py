"""Run one build in chips' own toolchains: their int8 of two float files, ours, and float.

    python benchmarks/toolchains.py dist/x4plus-anime-6b --data DIV2K openvino ncnn litert tvm web
    python benchmarks/toolchains.py dist/x4plus-anime-6b --data DIV2K kendryte=1 qnn/w8a8=1

A word is the name of a toolchain of ``esrdeploy simulate``, with ``/ROUTE`` for one of its routes
and ``=N`` for the first N golden inputs; without, all routes and all inputs.

The build has to have the targets of the routes (openvino, qnn, qnn-w8a16, tensorrt-10) and to be
calibrated on the folder of ``--data``. Its pictures are put into two bundles: one with the float
file that is made for tools that quantize by themselves, one with the plain float file alone, which
only the toolchains' own quantization is run on. Bundles, environments and outputs that are there
are not made again, so the same command goes on where it was ended.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.simulate.toolchain import Route, Toolchain
from deploy.simulate.toolchains import find_toolchain
from deploy.simulate.usage import UsageRecord, read_usage

HEAD = """\
| toolchain | route | computed in | inputs | parity dB mean | lowest | beside reference dB \
| build s | CPU s | a picture s | CPU s | peak MB |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
BUNDLES = {
    "ours": (
        *("--vendor", "openvino", "--vendor", "ncnn", "--vendor", "qnn", "--vendor", "rknn"),
        *("--profile", "openvino", "--profile", "qnn", "--profile", "qnn-w8a16"),
        *("--profile", "tensorrt-10"),
    ),
    "plain": ("--vendor", "openvino"),
}
"""Options of ``esrdeploy handoff`` by what the float file for quantizers is in the bundle."""
FILES = {"ours": "our float file", "plain": "the plain float file"}


@dataclass(frozen=True)
class Asked:
    """What to run.

    Attributes:
        toolchain: that runs it.
        routes: of the toolchain.
        first: how many golden inputs; ``None``: all.
    """

    toolchain: Toolchain
    routes: tuple[Route, ...]
    first: int | None

    @classmethod
    def of(cls, words: str) -> "Asked":
        """Return what ``NAME``, ``NAME=N`` or ``NAME/ROUTE=N`` means.

        >>> asked = Asked.of("litert/own=2")
        >>> asked.toolchain.name, [route.name for route in asked.routes], asked.first
        ('litert', ['own'], 2)
        """
        which, _, first = words.partition("=")
        name, _, route = which.partition("/")
        toolchain = find_toolchain(name)
        routes = tuple(one for one in toolchain.routes if route in {"", one.name})
        if not routes:
            raise argparse.ArgumentTypeError(f"{name} has no route {route}")
        return cls(toolchain, routes, int(first) if first else None)

    @property
    def runs(self) -> Iterator[tuple[Route, str]]:
        """Each route with the bundle that it is run on."""
        for route in self.routes:
            if route.own_scales:
                yield route, "plain"
            yield route, "ours"


def bundle_of(build: Path, kind: str, data: Path, out: Path) -> Path:
    """Return a bundle of a build, made unless it is there.

    Raises:
        subprocess.CalledProcessError: it cannot be made.
    """
    path = out / f"{build.name}-{kind}.zip"
    if not path.is_file():
        words = ["handoff", build, *BUNDLES[kind], "--include-images", "--calib", data]
        command = [*esrdeploy(), *map(str, words), "--out", str(path)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return path


def simulated(asked: Asked, route: Route, bundle: Path, options: argparse.Namespace) -> Any:
    """Return the document of ``esrdeploy simulate --json`` for one route of one bundle."""
    folder = options.out / f"{bundle.stem}-{asked.toolchain.name}"
    words = ["simulate", bundle, "--target", asked.toolchain.name, "--route", route.name, "--yes"]
    words += ["--out", folder, "--time-limit", options.time_limit, "--json"]
    words += ["--first", asked.first] if asked.first is not None else []
    ended = subprocess.run([*esrdeploy(), *map(str, words)], stdout=subprocess.PIPE, check=False)
    return json.loads(ended.stdout)


def esrdeploy() -> list[str]:
    """Return what runs the command with the code that this file belongs to."""
    return [sys.executable, "-c", "from deploy.cli import main; main()"]


def row(asked: Asked, route: Route, kind: str, document: Any) -> str:
    """Return the line of one route in the table; what it took stands in the folder of its outputs.

    Args:
        asked: for its toolchain.
        route: that was gone.
        kind: of the bundle.
        document: of ``esrdeploy simulate --json``, or of its refusal.
    """
    name = f"{route.name}, {FILES[kind]}" if route.own_scales else route.name
    if "error" in document:
        words = document["error"]["message"].replace("|", "/")
        return f"| {asked.toolchain.name} | {name} | failed: {words} |" + " - |" * 9
    (found,) = document["routes"]
    figures = [str(found["inputs"]), "-", "-", "-"]
    if found["inputs"]:
        figures[1:3] = f"{found['parity_db_mean']:.2f}", f"{found['parity_db_lowest']:.2f}"
    if found.get("beside_reference_db") is not None:
        figures[3] = f"{found['beside_reference_db']:+.2f}"
    usage = read_usage(Path(document["folder"]) / route.name)
    cells = [asked.toolchain.name, name, found["precision"], *figures, *_costs(usage)]
    return f"| {' | '.join(cells)} |"


def _costs(usage: UsageRecord) -> list[str]:
    """Return what a route took: seconds of building and of a picture, each of all cores, memory."""
    whole = usage.whole
    if whole is None:
        return ["-"] * 5
    building_cpu_s, drawing_cpu_s = whole.building_cpu_seconds, whole.drawing_cpu_seconds
    pictures = whole.pictures
    return [
        f"{whole.building_seconds:.0f}",
        "-" if building_cpu_s is None else f"{building_cpu_s:.0f}",
        f"{whole.drawing_seconds / pictures:.2f}" if pictures else "-",
        f"{drawing_cpu_s / pictures:.2f}" if pictures and drawing_cpu_s is not None else "-",
        f"{whole.peak_bytes / 1e6:.0f}",
    ]


def tables(options: argparse.Namespace) -> Iterator[str]:
    """Run all that was asked for; yield the table line by line, and then the versions."""
    options.out.mkdir(parents=True, exist_ok=True)
    versions = {}
    yield HEAD
    for asked in options.toolchains:
        for route, kind in asked.runs:
            bundle = bundle_of(options.build, kind, options.data, options.out)
            document = simulated(asked, route, bundle, options)
            versions[asked.toolchain.name] = document.get("packages", [])
            yield row(asked, route, kind, document)
    yield ""
    for name, packages in versions.items():
        yield f"{name}: {', '.join(pin.replace('==', ' ') for pin in packages)}"


def main() -> None:
    """Print the table of the toolchains named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of one build")
    parser.add_argument("toolchains", nargs="+", type=Asked.of, metavar="NAME[/ROUTE][=INPUTS]")
    parser.add_argument("--data", type=Path, required=True, help="folder it was calibrated on")
    parser.add_argument("--out", type=Path, default=Path("dist/toolchains"))
    parser.add_argument("--time-limit", type=float, default=120.0, help="minutes of each step")
    for line in tables(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
