"""Print what was measured of a build beside the verdict: speed, backends, layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy.cli.console import print_table, say
from deploy.metrics.decibels import change, decibels, with_unit

if TYPE_CHECKING:
    from deploy.metrics.layer_sqnr import LayerError
    from deploy.verify.backend_error import BackendError
    from deploy.verify.verification import Verification

WORST_LAYERS = 10
SHOWN_NODES = 6


def show_speed(verification: "Verification") -> None:
    """Print how long each file takes here, and what of each int8 file is in 8 bits."""
    from deploy.runtime.cpu import how_busy, this_machine
    from deploy.verify.latency import latencies_text

    rows = latencies_text(verification.latencies)
    if rows:
        batch = verification.batch
        pictures = "1 picture" if batch == 1 else f"{batch} pictures at once"
        title = f"{verification.model}: one inference of {pictures} here ({this_machine()})"
        columns = ["file", "runtime", "ms, shortest to longest", "times as fast as float there"]
        print_table(title, columns, rows)
        say("of a few runs, of this minute; 'esrdeploy bench' measures by turns")
        busy = how_busy()
        if busy:
            say(f"{busy}: these times are longer than the files need")
    for name, share in verification.shares.items():
        line = f"{name}: {verification.int8[name]}"
        outside = [node for node in share.convolutions if node not in share.integer]
        if outside:
            more = len(outside) - SHOWN_NODES
            line += f"; in float: {', '.join(outside[:SHOWN_NODES])}"
            line += f" and {more} more" if more > 0 else ""
        say(line)


def show_backends(verification: "Verification") -> None:
    """Print what runtimes on this machine make of the files, and what that means."""
    from deploy.verify.backend_error import machine_note

    measured = verification.backends
    if measured:
        names = ", ".join(image.name for image in measured[0].error)
        title = f"{verification.model}: as runtimes here run it, on {names}; no verdict rests on it"
        columns = ["file", "runtime", "PSNR beside QDQ reference semantics, dB"]
        columns += ["parity dB of the file", "as run here", "less the file's"]
        print_table(title, columns, [_backend_row(item) for item in measured])
    reasons = verification.not_run
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, why in reasons.items() if why == reason)
        say(f"no runtime beside the reference: {names}: {reason}")
    for line in machine_note(measured):
        say(line)


def _backend_row(item: "BackendError") -> list[str]:
    beside = decibels(item.record()["psnr_beside_reference_db_mean"])
    row = [item.artifact, f"{item.backend} {item.version}", beside]
    if item.meaning_db is None or item.change_db is None:
        return [*row, "-", decibels(item.parity_db), "-"]
    figures = (decibels(item.meaning_db), decibels(item.parity_db), change(item.change_db))
    return [*row, *figures]


def show_layers(verification: "Verification", elsewhere: str = "") -> None:
    """Print the worst tensors of each int8 file.

    Args:
        verification: of the build.
        elsewhere: where they are told; then the worst alone is named. Empty: in tables here.
    """
    for name, errors in verification.layers.items():
        if elsewhere:
            _show_worst_layer(name, errors, elsewhere)
        else:
            _show_layers(name, errors, verification.layer_images)


def _show_worst_layer(name: str, errors: "Sequence[LayerError]", elsewhere: str) -> None:
    """Print the worst tensor of one int8 file, and where the others are told."""
    from deploy.metrics.layer_sqnr import worst_layers

    (worst,) = worst_layers(errors, 1)
    say(
        f"{name}: of {len(errors)} tensors that layers make {worst.tensor} has the lowest SQNR, "
        f"{with_unit(worst.sqnr_db)} of its own values; {elsewhere} tells of the others"
    )


def _show_layers(name: str, errors: "Sequence[LayerError]", images: Sequence[str]) -> None:
    """Print the worst tensors of one int8 file, on the pictures of those names."""
    from deploy.metrics.layer_sqnr import what_sqnr_says, worst_layers

    worst = worst_layers(errors, WORST_LAYERS)
    rows = [
        [
            error.tensor,
            error.operator,
            decibels(error.sqnr_db),
            f"{error.cosine:.5f}",
            error.decision,
        ]
        for error in worst
    ]
    title = f"{name}: the {len(worst)} worst of {len(errors)} tensors, on {', '.join(images)}"
    print_table(title, ["tensor", "operator", "SQNR dB", "cosine", "what the plan did"], rows)
    say(what_sqnr_says(errors))
