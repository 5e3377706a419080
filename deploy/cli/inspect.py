"""Run ``esrdeploy inspect``: show what ONNX files take, give and compute with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib.errors import EsrdeployError, GraphError, UsageError, named
from calib.words import counted
from deploy.cli.console import error_line, print_json, print_table, say
from deploy.cli.options import AsJson
from deploy.cli.target_words import find_target

if TYPE_CHECKING:
    from deploy.inspection import Inspection
    from quant.qdq.operators import NodeAnswer
    from quant.qdq.rules import RuleViolation

SHOWN_NAMES = 3


def inspect(
    path: Annotated[Path, typer.Argument(help="An ONNX file, or a folder of them.")],
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Also check the file against the rules of this target profile; exit 1 if it "
            "breaks one.",
        ),
    ] = None,
    supported: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Also say which nodes the compiler of this target takes, as far as that is known; "
            "exit 1 if it cannot take one.",
        ),
    ] = None,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="List every node, and in which precision it computes.")
    ] = False,
    ranges: Annotated[
        bool, typer.Option("--ranges", help="List the range of every QDQ pair.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show inputs, outputs, size, MACs and the precision of nodes, by operator, of an ONNX file.

    --nodes lists every node, --ranges the range of every QDQ pair.
    """
    if path.is_dir():
        if rules is not None or supported is not None or nodes or ranges:
            raise UsageError(
                f"{path} is a folder; --rules, --supported, --nodes and --ranges take one file"
            )
        _inspect_folder(path, as_json=as_json)
        return
    from deploy.artifacts.onnx_files import read_model
    from deploy.inspection import inspect_file

    with named(path, GraphError):
        found = inspect_file(path)
    violations: tuple[RuleViolation, ...] = ()
    if rules is not None:
        from quant.qdq.rules import check_rules

        violations = check_rules(read_model(path), find_target(rules, "--rules"))
    answers: tuple[NodeAnswer, ...] = ()
    if supported is not None:
        from quant.qdq.operators import supported as supported_nodes

        answers = supported_nodes(read_model(path), find_target(supported, "--supported"))
    if as_json:
        broken = [vars(item) for item in violations]
        shown = {**found.record(), "violations": broken if rules is not None else None}
        shown["supported"] = [vars(item) for item in answers] if supported is not None else None
        print_json("esrdeploy.cli.inspect/2", shown)
    else:
        _show(found, nodes=nodes, ranges=ranges)
        if rules is not None:
            _show_violations(rules, violations)
        if supported is not None:
            _show_answers(supported, answers)
    if violations or any(item.answer == "not taken" for item in answers):
        raise typer.Exit(1)


def _inspect_folder(folder: Path, *, as_json: bool) -> None:
    """List the models in a folder; exit 2 where one cannot be read."""
    from deploy.inspection import models_of

    inspected = {str(path): _inspected(path) for path in models_of(folder)}
    unreadable = {path: item for path, item in inspected.items() if isinstance(item, str)}
    found = [item for item in inspected.values() if not isinstance(item, str)]
    if as_json:
        listed = {"models": [item.record() for item in found], "unreadable": unreadable}
        print_json("esrdeploy.cli.inspect-folder/2", listed)
    elif found:
        columns = ["file", "MB", "opset", "input", "output", "convolutions in int8"]
        rows = [
            [
                Path(item.path).relative_to(folder).as_posix(),
                f"{item.size_bytes / 1e6:.2f}",
                str(item.opset),
                "\n".join(end.kind for end in item.inputs),
                "\n".join(end.kind for end in item.outputs),
                f"{len(item.share.integer)} of {len(item.share.convolutions)}",
            ]
            for item in found
        ]
        print_table(f"{len(found)} models in {folder}", columns, rows)
    for message in unreadable.values():
        error_line(message)
    if unreadable:
        raise typer.Exit(2)


def _inspected(path: Path) -> "Inspection | str":
    """Return what is in a file, or why it cannot be read."""
    from deploy.inspection import inspect_file

    try:
        return inspect_file(path)
    except EsrdeployError as error:
        return str(error)


def _show(found: "Inspection", *, nodes: bool, ranges: bool) -> None:
    """Print what one file takes and gives, and then what it computes with."""
    typer.echo(f"{found.path}  {found.size_bytes / 1e6:.2f} MB  opset {found.opset}")
    for word, ends in (("input", found.inputs), ("output", found.outputs)):
        for end in ends:
            say(f"{word:<6}  {end}")
    if not found.form.usual:
        say(f"form    {found.form}")
    say(found.share_text)
    work = (
        "multiply-accumulates not known, as the input is dynamic: 'esrdeploy build --onnx FILE "
        "--size 128' makes it static"
        if found.cost is None
        else f"{found.cost.macs / 1e9:.3f} G convolution multiply-accumulates"
    )
    say(f"{found.parameters:,} parameters, {work}")
    if found.ranges:
        say(
            f"{len(found.saturable)} convolutions can saturate 16-bit accumulation "
            "(x86-64 without VNNI)"
        )
    typer.echo(f"sha256 {found.sha256}")
    rows = [[op, kind, str(count)] for (op, kind), count in found.kinds.items()]
    print_table("precision of the nodes", ["operator", "inputs -> output", "nodes"], rows)
    if nodes:
        listed = [[node.name, node.op_type, node.kind] for node in found.nodes]
        print_table("nodes", ["node", "operator", "inputs -> output"], listed)
    if ranges:
        listed = [
            [item.tensor, item.dtype, f"{item.low:.5g}", f"{item.high:.5g}", f"{item.scale:.4g}"]
            for item in found.ranges
        ]
        print_table("activation ranges", ["tensor", "dtype", "low", "high", "scale"], listed)


def _show_violations(target: str, violations: "tuple[RuleViolation, ...]") -> None:
    """Print each rule that is broken once, with the places where it is."""
    from quant.qdq.rules import broken_rules

    broken = broken_rules(violations)
    for rule in broken:
        count = len(rule.nodes)
        say(f"{rule.rule}: expected {rule.expected}, found {_some(rule.found)}")
        say(f"  at {counted(count, 'node')}: {_some(rule.nodes)}")
    if not broken:
        say(f"rules of {target}: kept")
        return
    kinds = len({rule.rule for rule in broken})
    say(f"rules of {target}: {kinds} broken, in {len(violations)} places; --json lists each")


def _show_answers(target: str, answers: "tuple[NodeAnswer, ...]") -> None:
    """Print the operators that a target cannot take, or of which that is not known."""
    from quant.qdq.operators import OPERATORS

    for answer in ("not taken", "not known"):
        chosen = [item for item in answers if item.answer == answer]
        for operator in dict.fromkeys(item.operator for item in chosen):
            names = tuple(item.node for item in chosen if item.operator == operator)
            say(f"{operator}: {answer} by {target}: {_some(names)}")
    taken = sum(item.answer == "taken" for item in answers)
    say(f"{taken} of {len(answers)} nodes are taken by {target}")
    say(f"source: {OPERATORS[find_target(target).name].source}")


def _some(names: tuple[str, ...]) -> str:
    """Return the first few of some names, and how many more there are."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f", and {more} more" if more > 0 else "")
