"""Plan small graphs as a build with high effort does."""

import onnx

from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantOptions
from quant.planner import plan_graph
from quant.targets import find_profile


def planned(model: onnx.ModelProto, table: CalibrationTable, target: str) -> PreparedGraph:
    options = QuantOptions(effort="high")
    return plan_graph(GraphIndex(model), table, find_profile(target), options)
