"""Say which operators of a network no pass and no rule is about."""

from collections import Counter
from collections.abc import Iterator

from calib.graph import GraphIndex
from quant.analysis.topology import KNOWN, Topology


def operators_left_alone(graph: GraphIndex) -> Iterator[str]:
    """Yield one line that counts the operators that are only passed by, if there are any."""
    operators = [node.op_type for node in Topology(graph).operators]
    others = Counter(name for name in operators if name not in KNOWN)
    if others:
        counted = ", ".join(f"{name} ({count})" for name, count in others.most_common())
        yield (
            f"{sum(others.values())} of {len(operators)} nodes are of operators that no rule here "
            f"is about: {counted}; they stay in float, or, where a target quantizes every edge, "
            "take and give what convolutions do"
        )
