"""Say which options of a build change nothing, so that nobody believes they did something."""

from collections.abc import Iterator
from dataclasses import fields

from calib.graph import GraphIndex
from deploy.build.request import BuildRequest
from quant.analysis.topology import ACTIVATIONS, RESIDUAL, Part, Topology
from quant.passes.lowering.resize_deconvolution import enlargements
from quant.plan import QuantOptions
from quant.planner import part_precisions

_COMPUTING = ACTIVATIONS | RESIDUAL | {"Conv"}
_PARTS: tuple[Part, ...] = ("head", "trunk", "tail")


def idle_options(request: BuildRequest, *, targets: bool) -> Iterator[str]:
    """Yield one line for each option that leaves the build as it would be without it.

    Args:
        request: a build that can be made.
        targets: whether targets were asked for, or stand there by default.
    """
    asked = request.quantization
    if not request.builds("int8"):
        default = QuantOptions()
        names = [
            f"--{item.name.replace('_', '-')}"
            for item in fields(asked)
            if getattr(asked, item.name) != getattr(default, item.name)
        ]
        names += ["--target"] if targets else []
        names += ["the budget"] if request.budget is not None else []
        if names:
            yield (
                f"{', '.join(names)}: nothing changes by it, as no int8 model is built; leave out "
                f"--precision {request.precision}"
            )
        return
    if request.execution.device != "auto" and asked.effort == "normal":
        yield (
            f"--device {request.execution.device} changes nothing: nothing is learned without "
            "--effort high"
        )
    for profile in request.profiles():
        if asked.full_integer and profile.every_operator:
            yield f"--full-integer changes nothing for {profile.name}: nothing is in float there"
        usual = part_precisions(profile, QuantOptions(full_integer=asked.full_integer))
        for part in _PARTS:
            wish = getattr(asked, part)
            if wish is not None and wish == usual[part]:
                yield f"--{part} {wish} changes nothing for {profile.name}: it is the default there"
        if (
            asked.upsampling == "convtranspose"
            and part_precisions(profile, asked)["tail"] != "float"
        ):
            yield (
                f"--upsampling convtranspose changes nothing for {profile.name}: the tail is "
                "quantized there"
            )


def options_without_nodes(options: QuantOptions, graph: GraphIndex) -> Iterator[str]:
    """Yield one line for each option about a part, or an operator, that this network lacks.

    What moves values alone, as a pixel shuffle does, takes the precision of what it reads.
    """
    topology = Topology(graph)
    there = {topology.part(node) for node in topology.operators if node.op_type in _COMPUTING}
    for part in _PARTS:
        wish = getattr(options, part)
        if wish is not None and part not in there:
            yield f"--{part} {wish} changes nothing: nothing in the {part} of this network computes"
    if options.upsampling == "convtranspose" and not enlargements(graph.model):
        yield (
            "--upsampling convtranspose changes nothing: no plain convolution of this network "
            "reads an enlarged tensor"
        )
