"""Run ``esrdeploy targets``: say which chip takes which int8 file and which bundle."""

from deploy.cli.console import print_json, print_table
from deploy.cli.options import AsJson


def targets(as_json: AsJson = False) -> None:
    """List chips and vendors with target and bundle, what each target offers, and lowerings."""
    from deploy.handoff.target_listing import (
        BUNDLE_COLUMNS,
        LOWERING_COLUMNS,
        TARGET_COLUMNS,
        listing,
    )

    shown = listing()
    if as_json:
        print_json("esrdeploy.cli.targets/2", shown.record())
        return
    vendors = [row.cells() for row in shown.vendors]
    print_table("handoff --vendor: who gets a bundle", BUNDLE_COLUMNS, vendors)
    title = "build --target: int8 files, and what head, trunk and tail may be (default first)"
    print_table(title, TARGET_COLUMNS, [row.cells() for row in shown.targets])
    lowerings = [row.cells() for row in shown.lowerings]
    print_table("build --lower: operators written as others", LOWERING_COLUMNS, lowerings)
