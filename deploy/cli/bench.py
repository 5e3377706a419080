"""Run ``esrdeploy bench``: measure the files of a build on this machine."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.console import make_progress, print_json, print_table
from deploy.cli.options import AsJson, Builds


class RuntimeChoice(str, Enum):
    """What ``--backend`` takes: each of :data:`deploy.runtime.backends.BACKENDS`."""

    ORT = "ort"
    OPENVINO = "openvino"


def bench(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Build to measure: its folder's name in --builds, or its path.",
            show_default="the only one there is",
        ),
    ] = None,
    builds: Builds = Path("dist"),
    backend: Annotated[
        list[RuntimeChoice] | None,
        typer.Option(help="Runtime; repeatable.", show_default="all installed, ncnn too"),
    ] = None,
    tile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIDE|HEIGHTxWIDTH",
            help="Size of the input; repeatable.",
            show_default="the build's",
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=1024, help="Threads of the runtime; repeatable.", show_default="every core"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=1000, help="How many times each file is timed.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure latency, throughput, load time, memory and size of a build's files, by turns."""
    from calib.tile import Tile
    from deploy.runtime.backends import BACKENDS
    from deploy.runtime.cpu import this_machine
    from deploy.upscale.bench import BenchRequest, measure

    request = BenchRequest(
        builds,
        model,
        backends=tuple(name for name in BACKENDS if RuntimeChoice(name) in (backend or ())),
        tiles=tuple(Tile.parse(text).size for text in dict.fromkeys(tile or ())),
        threads=tuple(dict.fromkeys(threads or ())),
        rounds=rounds,
    )
    rows = measure(request, make_progress())
    if as_json:
        content = {"machine": str(this_machine()), "rows": [row.record() for row in rows]}
        print_json("esrdeploy.cli.bench/1", content)
        return
    columns = ["file", "runtime", "tile", "threads", "median ms", "p95 ms", "output MP/s"]
    columns += ["load ms", "peak MB", "size MB", "times as fast as float"]
    cells = [
        [
            row.candidate.path.name,
            row.candidate.backend,
            str(row.candidate.tile),
            str(row.candidate.threads or "all"),
            f"{1000 * row.timing.median:.0f}",
            f"{1000 * row.timing.p95:.0f}",
            f"{row.output_mp_per_s:.2f}",
            f"{1000 * row.load_s:.0f}",
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            f"{row.size_bytes / 1e6:.1f}",
            "-" if row.times_as_fast is None else f"{row.times_as_fast:.2f}",
        ]
        for row in rows
    ]
    print_table(f"{this_machine()}; {rounds} rounds by turns", columns, cells)
