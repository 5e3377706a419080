"""Run ``esrdeploy simulate``: a bundle in the real toolchain of a chip, on this machine."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib.errors import UsageError
from deploy.cli import completion
from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.cli.options import AsJson
from deploy.metrics.decibels import decibels
from deploy.progress import Progress

if TYPE_CHECKING:
    from deploy.simulate.outcome import MadeOutcome, RouteOutcome, Simulation
    from deploy.simulate.plan import SimulationPlan, SimulationRequest
    from deploy.simulate.usage import UsageRecord

_MOST_MINUTES = 10_000.0  # a week


def simulate(
    bundle: Annotated[Path, typer.Argument(help="Bundle of 'esrdeploy handoff', zip or folder.")],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            help="Toolchain to run it in; docs/simulate.md says what each takes and executes.",
            autocompletion=completion.toolchains,
        ),
    ],
    route: Annotated[
        list[str] | None,
        typer.Option(
            help="Way through the toolchain, such as float or int8; repeatable. Default: all that "
            "the bundle has the files for."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for outputs, logs and verdicts; default: MODEL-TARGET-simulated here. "
            "The same command goes on in it.",
        ),
    ] = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="Run only so many golden inputs.")
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            "--time-limit",
            min=0.01,
            max=_MOST_MINUTES,
            metavar="MINUTES",
            help="How long each step may take.",
        ),
    ] = 60.0,
    python: Annotated[
        list[Path] | None,
        typer.Option(
            help="Interpreter to make the toolchain's environment from, if it is of a version that "
            "serves; repeatable. Default: found."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Install what is missing without asking.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a bundle with a chip's own toolchain, run its golden inputs and judge the outputs."""
    from deploy.simulate.plan import SimulationRequest

    if math.isnan(time_limit):  # no range of the parser's refuses it
        raise UsageError("found --time-limit nan; give it in minutes")
    request = SimulationRequest(
        bundle=bundle,
        target=target,
        out=out,
        routes=tuple(route or ()),
        first=first,
        pythons=tuple(python or ()),
        limit_s=60.0 * time_limit,
    )
    done = simulated(request, yes=yes)
    if as_json:
        print_json("esrdeploy.cli.simulate/1", done.record())
    else:
        show_simulation(done)
    if not done.passed:
        raise typer.Exit(1)


def simulated(request: "SimulationRequest", *, yes: bool) -> "Simulation":
    """Run a simulation, after asking whether what it needs may be installed.

    Raises:
        UsageError: it may not, or nobody can be asked.
    """
    from deploy.simulate.plan import plan_simulation
    from deploy.simulate.simulate import require_route
    from deploy.simulate.simulate import simulate as run
    from deploy.simulate.toolchains import find_toolchain

    plan = plan_simulation(request, find_toolchain(request.target))
    progress = make_progress()
    if plan.missing:
        require_route(plan)
        _require_consent(plan, progress, yes=yes)
    return run(plan, progress)


def _require_consent(plan: "SimulationPlan", progress: Progress, *, yes: bool) -> None:
    for line in plan.installation:
        progress.note(line)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was installed, as nobody can be asked here; --yes agrees to it")
    if not typer.confirm("install?", err=True):
        raise UsageError("nothing was installed")


def show_simulation(done: "Simulation") -> None:
    """Print the table of a simulation, and what was not run."""
    from deploy.simulate.outcome import MadeOutcome

    columns = ["route", "precision", "inputs", "parity dB mean", "lowest", "beside reference dB"]
    columns += ["verdict"]
    print_table(
        f"{done.model} on {done.toolchain.name}: {done.toolchain.executes}",
        columns,
        [_row(item) for item in done.routes],
    )
    for item in done.routes:
        told = f"{item.route.name}: {item.route.summary}; {_spelled(item.usage)}"
        if isinstance(item, MadeOutcome):
            say(f"{told}; {item.file}")
            continue
        say(f"{told}; {item.page}")
        if not item.returned.passed:
            say(f"FAIL  {item.route.name}: {item.returned.reason}")
        for line in item.returned.failures:
            say(f"FAIL  {item.route.name}: {line}")
    for name, reason in done.left_out.items():
        say(f"left out  {name}: {reason}")


def _row(item: "RouteOutcome | MadeOutcome") -> list[str]:
    from deploy.simulate.outcome import MadeOutcome

    if isinstance(item, MadeOutcome):
        return [item.route.name, item.route.precision, "0", "-", "-", "-", "made, not executed"]
    if not item.returned.images:
        return [item.route.name, item.route.precision, "0", "-", "-", "-", "NOT ACCEPTED"]
    mean_db, lowest_db = item.parity_db
    beside = item.beside_ours_db
    return [
        item.route.name,
        item.route.precision,
        str(len(item.returned.images)),
        decibels(mean_db),
        decibels(lowest_db),
        "-" if beside is None else f"{beside:+.2f}",
        "accepted" if item.returned.passed else "NOT ACCEPTED",
    ]


def _spelled(usage: "UsageRecord") -> str:
    """Return what the stages of a route took."""
    told = []
    for name, used in usage.stages.items():
        drawn = f", {used.pictures} pictures {used.drawing_seconds:.0f} s" if used.pictures else ""
        told.append(f"{name} {used.building_seconds:.0f} s{drawn}, {used.peak_bytes / 1e6:.0f} MB")
    return "; ".join(told) or "run before"
