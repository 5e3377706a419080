"""What each layer of a quantized model costs in, a picture of it out."""

from collections.abc import Collection
from pathlib import Path

from calib.errors import UsageError
from quant.sensitivity import Sensitivity

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise UsageError(
        "plotting needs matplotlib, which is not installed; run: pip install 'esrdeploy[plot]'"
    ) from error

_INCHES = (10.0, 3.6)
_KEPT, _RAISED = "#35608d", "#d95f02"


def plot_sensitivity(sensitivity: Sensitivity, raised: Collection[str], path: Path) -> None:
    """Write a PNG with a bar per family in graph order: its share of the whole squared error.

    Args:
        sensitivity: what each family costs.
        raised: names of the convolutions that were raised to a higher precision.
        path: file to write.

    Raises:
        UsageError: the file cannot be written.
    """
    families = sensitivity.families
    total = sum(family.squared_error for family in families) or 1.0
    shares = [100 * family.squared_error / total for family in families]
    colours = [_RAISED if set(family.nodes) & set(raised) else _KEPT for family in families]
    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.bar(range(len(families)), shares, color=colours)
    axes.set_ylabel("% of the squared error")
    axes.set_xticks(range(len(families)), [family.name for family in families], rotation=90)
    axes.tick_params(axis="x", labelsize=max(3, min(8, 400 // max(len(families), 1))))
    axes.set_title(
        "what each layer costs when it alone is quantized; all of it "
        f"{sensitivity.parity_db:.1f} dB on {sensitivity.pictures} pictures; raised ones in orange",
        fontsize=9,
    )
    try:
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
