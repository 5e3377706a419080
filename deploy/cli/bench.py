"""Run ``esrdeploy bench``: measure the files of a build on this machine."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib.words import counted
from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.cli.options import AsJson, Builds

if TYPE_CHECKING:
    from deploy.upscale.bench import BenchRow


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
    from deploy.network.known_models import model_name
    from deploy.runtime.backends import BACKENDS
    from deploy.runtime.cpu import this_machine
    from deploy.upscale.bench import BenchRequest, measure, not_measured

    request = BenchRequest(
        builds,
        None if model is None else model_name(model),
        backends=tuple(name for name in BACKENDS if RuntimeChoice(name) in (backend or ())),
        tiles=tuple(Tile.parse(text).size for text in dict.fromkeys(tile or ())),
        threads=tuple(dict.fromkeys(threads or ())),
        rounds=rounds,
    )
    rows = measure(request, make_progress())
    left_out = not_measured(request, rows)
    if as_json:
        content = {"machine": str(this_machine()), "rows": [row.record() for row in rows]}
        print_json("esrdeploy.cli.bench/1", {**content, "not_measured": list(left_out)})
        return
    _show(rows, f"{this_machine()}; {counted(rounds, 'round')} by turns")
    if left_out:
        say(f"not measured, no runtime that it is made for ran here: {', '.join(left_out)}")


def _show(rows: "Sequence[BenchRow]", title: str) -> None:
    """Print a row for each file in each setting; what all have alike stands in the title."""
    tiles, threads = [str(row.candidate.tile) for row in rows], list(map(_threads, rows))
    stem = rows[0].candidate.path.stem.removesuffix("-fp32")  # the float file comes first
    title = f"{stem}: {title}"
    columns, varied = ["file", "runtime"], []
    for name, found in (("tile", tiles), ("threads", threads)):
        if len({*found}) > 1:
            columns.append(name)
            varied.append(found)
        else:
            title += f"; {name} {found[0]}"
    columns += ["median ms", "p95 ms", "output MP/s", "load ms", "peak MB", "size MB"]
    columns += ["times as fast as float, median", "least to most"]
    cells = [
        [
            row.candidate.path.name.removeprefix(f"{stem}-"),
            row.candidate.backend,
            *(found[position] for found in varied),
            f"{1000 * row.timing.median:.0f}",
            f"{1000 * row.timing.p95:.0f}",
            f"{row.output_mp_per_s:.2f}",
            f"{1000 * row.load_s:.0f}",
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            f"{row.size_bytes / 1e6:.1f}",
            *_times_as_fast(row),
        ]
        for position, row in enumerate(rows)
    ]
    print_table(title, columns, cells)


def _threads(row: "BenchRow") -> str:
    return str(row.candidate.threads or "all")


def _times_as_fast(row: "BenchRow") -> tuple[str, str]:
    """Return the median ratio to float, and what the ratios of single rounds lie between.

    Float is the measure itself: its ratio has no spread.
    """
    ratio = row.times_as_fast
    if ratio is None:
        return "-", "-"
    if row.candidate.precision == "fp32":
        return "1", "-"
    return f"{ratio.median:.2f}", f"{ratio.least:.2f} to {ratio.most:.2f}"
