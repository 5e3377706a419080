"""Hold the ranges of a build's fp16 and int8 models against what calibration saw."""

from collections.abc import Iterator, Mapping

from calib.errors import EsrdeployError
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import Artifact
from quant.analysis.activation_slopes import clipped_share
from quant.analysis.tensor_distributions import TensorDistributions
from quant.fp16.range import Fp16Finding, check_fp16
from quant.numerics.half import FP16_MAX
from quant.passes.prepared import PreparedGraph
from quant.plan import EdgeQuant, QuantPlan
from quant.qdq.zero_points import rounds

CLIPPED_LIMIT = 0.05
"""Largest share of a tensor's observed values that a range may cut off.

Ranges of least squared error cut off 0.04 % at most on x4plus-anime-6b and 0.4 % on
small random networks; a two-sided percentile of 97.5 cuts off 5 %.
"""


def check_fp16_range(
    build: Build, needed: Mapping[str, str] | None
) -> tuple[tuple[Check, ...], tuple[Fp16Finding, ...]]:
    """Hold every tensor and weight of a build's fp16 model against fp16's limits.

    Args:
        build: the build.
        needed: nodes that its fp16 model has to compute in float32, with the reason; ``None``
            where that cannot be said.

    Returns:
        One check per fp16 file, and how each value that it holds in fp16 fits.
    """
    checks: list[Check] = []
    findings: tuple[Fp16Finding, ...] = ()
    if build.float_model is None or build.fitting_table is None or needed is None:
        return (), ()
    for item in build.manifest.models():
        if item.precision != "fp16":
            continue
        announced = build.manifest.fp16_kept
        try:
            findings = check_fp16(build.float_model, build.fitting_table, keep=announced)
        except EsrdeployError as error:
            checks.append(Check.of(False, "fp16 range", item.path, str(error)))
            continue
        checks.append(_fp16_check(item, needed, announced, findings))
    return tuple(checks), findings


def _fp16_check(
    item: Artifact,
    needed: Mapping[str, str],
    announced: Mapping[str, str],
    findings: tuple[Fp16Finding, ...],
) -> Check:
    over = [finding for finding in findings if finding.overflows]
    if over:
        named = "; ".join(map(str, over[:3]))
        more = f" and {len(over) - 3} more" if len(over) > 3 else ""
        detail = f"fp16 overflow: {named}{more}; build again, or name nodes with --fp16-keep"
        return Check.of(False, "fp16 range", item.path, detail)
    if needed != announced:
        names = sorted({*needed} ^ {*announced}) or sorted(needed)
        detail = f"the manifest's record of nodes left in float does not follow: {names[0]}"
        return Check.of(False, "fp16 range", item.path, detail)
    return Check.of(True, "fp16 range", item.path, fp16_summary(findings, len(announced)))


def fp16_summary(findings: tuple[Fp16Finding, ...], kept: int) -> str:
    """Return what a person wants to know of the fit to fp16, in one line."""
    if not findings:
        return "nothing is held in fp16"
    largest = max(findings, key=lambda finding: finding.largest)
    weights = [finding for finding in findings if finding.kind == "weight"]
    text = (
        f"largest of {len(findings)} tensors and weights is {largest.tensor} at "
        f"{largest.largest:.4g}, {largest.headroom:.3g} times below {FP16_MAX:g}"
    )
    if weights:
        smallest = max(weights, key=lambda finding: finding.subnormal_share)
        text += f"; most subnormal: weight {smallest.tensor}, {smallest.subnormal_share:.2%}"
    return text + (f"; {kept} nodes left in float32" if kept else "")


def check_ranges(build: Build, prepared: Mapping[str, PreparedGraph]) -> Iterator[Check]:
    """Ask of each int8 model whether its ranges hold what calibration saw.

    Args:
        build: the build.
        prepared: the float graph under each int8 model's plan, by file.
    """
    table = build.fitting_table
    if table is None:
        return
    for item in build.manifest.models():
        if item.path not in prepared:
            continue
        plan = prepared[item.path].plan
        try:
            distributions = prepared[item.path].distributions(table)
            shares = {
                name: share
                for name, edge in plan.edges.items()
                if edge.rule != "pinned"
                and rounds(prepared[item.path].index, plan, edge)
                and edge.scale > 0.0
                and (share := _clipped(edge, distributions)) > CLIPPED_LIMIT
            }
        except EsrdeployError as error:
            yield Check.of(False, "ranges", item.path, str(error))
            continue
        yield _ranges_check(item, plan, shares)


def _ranges_check(item: Artifact, plan: QuantPlan, shares: dict[str, float]) -> Check:
    if not shares:
        detail = f"every range holds all but {CLIPPED_LIMIT:.0%} of what calibration saw"
        return Check.of(True, "ranges", item.path, detail)
    worst = max(shares, key=lambda name: shares[name])
    asked = plan.options.percentile
    cause = f"percentile {asked:g} is far too low" if asked is not None else "percentile too low"
    detail = (
        f"{cause}: {len(shares)} of {len(plan.edges)} ranges cut off more than "
        f"{CLIPPED_LIMIT:.0%} of what calibration saw, {worst} the most with {shares[worst]:.1%}"
    )
    return Check.of(False, "ranges", item.path, detail)


def _clipped(edge: EdgeQuant, distributions: TensorDistributions) -> float:
    """Return the share of the values that lie beyond the quantized range."""
    low, high = edge.covered
    return clipped_share(distributions, edge.tensor, low, high, edge.scale)
