"""Run ``esrdeploy inspect``: show operators, precisions, ranges and cost of an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.console import print_json, print_table
from deploy.cli.options import AsJson


def inspect(
    path: Annotated[Path, typer.Argument(help="An ONNX file.")],
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Also check the file against the rules of this target profile; exit 1 if it "
            "breaks one.",
        ),
    ] = None,
    nodes: Annotated[bool, typer.Option("--nodes", help="List every node.")] = False,
    ranges: Annotated[bool, typer.Option("--ranges", help="List every activation range.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the operators, precision of every node, ranges, size and MACs of an ONNX file."""
    from deploy.artifacts.onnx_files import read_model
    from deploy.inspection import inspect_file

    found = inspect_file(path)
    violations = []
    if rules is not None:
        from quant.qdq.rules import check_rules
        from quant.targets import find_profile

        violations = list(check_rules(read_model(path), find_profile(rules)))
    if as_json:
        broken = [vars(item) for item in violations]
        shown = {**found.record(), "violations": broken if rules is not None else None}
        print_json("esrdeploy.cli.inspect/1", shown)
    else:
        typer.echo(f"{path}  {found.size_bytes / 1e6:.2f} MB  opset {found.opset}")
        typer.echo(f"sha256 {found.sha256}")
        typer.echo(
            f"{found.cost.parameters:,} parameters, {found.cost.macs / 1e9:.3f} G "
            "convolution multiply-accumulates"
        )
        if found.ranges:
            typer.echo(
                f"{len(found.saturable)} convolutions can saturate 16-bit accumulation "
                "(x86-64 without VNNI)"
            )
        rows = [[op, kind, str(count)] for (op, kind), count in found.kinds.items()]
        print_table("precision of the nodes", ["operator", "inputs -> output", "nodes"], rows)
        if nodes:
            listed = [[node.name, node.op_type, node.kind] for node in found.nodes]
            print_table("nodes", ["node", "operator", "inputs -> output"], listed)
        if ranges:
            listed = [
                [
                    item.tensor,
                    item.dtype,
                    f"{item.low:.5g}",
                    f"{item.high:.5g}",
                    f"{item.scale:.4g}",
                ]
                for item in found.ranges
            ]
            print_table("activation ranges", ["tensor", "type", "low", "high", "step"], listed)
        for item in violations:
            typer.echo(f"{item.rule}  {item.node}: found {item.found}, expected {item.expected}")
        if rules is not None:
            typer.echo(
                f"rules of {rules}: " + (f"{len(violations)} broken" if violations else "kept")
            )
    if violations:
        raise typer.Exit(1)
