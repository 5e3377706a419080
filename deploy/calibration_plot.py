"""A float model and its calibration table in, a picture of the costliest ranges out."""

from pathlib import Path

import onnx

from calib.plot import plot_ranges
from calib.table import CalibrationTable
from quant.plan import QuantOptions
from quant.planner import make_plan
from quant.targets import find_profile


def plot_worst_tensors(model: onnx.ModelProto, table: CalibrationTable, path: Path) -> list[str]:
    """Plot the tensors that lose most at 8 bits, with the ranges a full-integer build gives them.

    Args:
        model: the float model the table was taken on.
        table: the histograms.
        path: PNG file to write.

    Returns:
        The tensors shown, worst first.

    Raises:
        UsageError: matplotlib is not installed, or the file cannot be written.
    """
    plan = make_plan(
        model, table, find_profile("openvino"), QuantOptions(full_integer=True, equalization="none")
    )
    ranges = {
        edge.tensor: (edge.low, edge.high)
        for edge in plan.edges.values()
        if edge.tensor in table.tensors
    }
    return plot_ranges(table, ranges, path)
