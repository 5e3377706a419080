"""Name how a stored quantization plan differs from the plan that its build leads to.

``deploy/verify/reproduce.py`` lists every entry that differs; this says what was done, the gravest
first.
"""

from collections.abc import Iterator
from dataclasses import asdict

from quant.plan import EdgeQuant, QuantPlan


def plan_faults(expected: QuantPlan, found: QuantPlan) -> Iterator[str]:
    """Name what is wrong with a plan, one line per fault.

    Args:
        expected: made again from the build's float model, calibration table and options.
        found: the record beside the int8 model.
    """
    if found.network_digest != expected.network_digest:
        yield (
            f"plan of another model: made for network {found.network_digest}, the float model is "
            f"{expected.network_digest}"
        )
    if found.table_digest != expected.table_digest:
        yield (
            f"stale: the plan was made from calibration table {found.table_digest}, the table "
            f"beside it is {expected.table_digest}"
        )
    asked, planned = asdict(expected.options), asdict(found.options)
    for name in sorted(asked):
        wanted, seen = asked[name], planned[name]
        if wanted != seen:
            yield f"{name} {seen} in the plan, {wanted} in the build's options"
    for name in expected.edges.keys() - found.edges.keys():
        yield f"tensor {name} is left in float unannounced: the plan should quantize it"
    for name in expected.weights.keys() - found.weights.keys():
        yield f"weight {name} is left in float unannounced: the plan should quantize it"
    for name, edge in expected.edges.items():
        if name in found.edges:
            yield from _edge_faults(name, edge, found.edges[name])


def _edge_faults(name: str, expected: EdgeQuant, found: EdgeQuant) -> Iterator[str]:
    if found.scale != expected.scale:
        kind = "wrong scale" if found.scale else "zero scale"
        yield f"{kind} of {name}: {found.scale:.6g}, expected {expected.scale:.6g}"
    if found.zero_point != expected.zero_point:
        yield f"wrong zero point of {name}: {found.zero_point}, expected {expected.zero_point}"
