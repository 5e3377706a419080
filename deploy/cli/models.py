"""``esrdeploy models``: nothing in, the model table out."""

from deploy.cli.console import print_json, print_table, reports_errors
from deploy.cli.options import AsJson


@reports_errors
def models(as_json: AsJson = False) -> None:
    """List the models with parameters, MACs, and whether their weights are at hand."""
    from deploy.catalogue import catalogue

    rows = catalogue()
    if as_json:
        print_json([row.record() for row in rows])
        return
    print_table(
        "models at 1x3x128x128",
        ["model", "architecture", "scale", "params M", "MACs G", "vendor GFLOPs", "weights"],
        [
            [
                row.name,
                str(row.architecture),
                f"x{row.architecture.scale}",
                f"{row.cost.parameters / 1e6:.3f}",
                f"{row.cost.macs / 1e9:.3f}",
                f"{row.cost.vendor_gflops:.3f}",
                row.weights or "none: pass --weights",
            ]
            for row in rows
        ],
    )
