"""Say what to mind of a build: few or narrow pictures, a budget that falls short.

The build says it on the screen, ``verify`` again, and the report on its page, however often that is
made again.
"""

from calib.coverage import not_covered
from calib.table import CalibrationTable
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.picture_warnings import picture_warnings


def build_warnings(manifest: Manifest, table: CalibrationTable | None) -> tuple[str, ...]:
    """Return one line for each thing to mind.

    Args:
        manifest: of the build.
        table: its calibration table, if it has one that is intact.
    """
    narrow = () if table is None else tuple(not_covered(table))
    budgets = ((name, made.budget) for name, made in manifest.options.targets.items())
    short = [
        f"int8 {target}: {budget.asked} was held on the pictures that promotion was decided on, "
        f"not on the verdict's: {budget.shortfall}"
        for target, budget in budgets
        if budget is not None and budget.missing_db
    ]
    return (*picture_warnings(manifest), *narrow, *short)
