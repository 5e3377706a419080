"""List the lowerings by name, apply those asked for in order, and prove each.

A name says what is written as what. The order is that of the list: what one makes, a later one may
replace.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calib.errors import UsageError
from calib.graph import GraphIndex
from quant.passes.driver import PassProof, prove_rewrites
from quant.passes.equivalence import Outputs, Probe, outputs_of
from quant.passes.lowering import (
    activations,
    phases_resize,
    pixel_shuffle,
    resize_deconvolution,
    resize_phases,
)
from quant.passes.lowering.replace import LeftAlone, Replacement, replaced
from quant.targets import TargetProfile


def _unchanged(outputs: Outputs) -> Outputs:
    return outputs


def _clipped(outputs: Outputs) -> Outputs:
    return {name: np.clip(value, 0.0, 1.0) for name, value in outputs.items()}


@dataclass(frozen=True)
class Lowering:
    """One way to write an operator as others.

    Attributes:
        name: as ``--lower`` takes it.
        summary: what it does, for people.
        find: from a graph to what takes the place of what, or why it stays.
        meant: what the network's output is to be, from what it was.
        float_only: it leaves an operator that no plan quantizes.
        excludes: names of those that it contradicts.
    """

    name: str
    summary: str
    find: Callable[[GraphIndex], Iterator[Replacement | LeftAlone]]
    meant: Callable[[Outputs], Outputs] = _unchanged
    float_only: bool = False
    excludes: tuple[str, ...] = ()


LOWERINGS = {
    item.name: item
    for item in (
        Lowering(
            "resize-to-phases",
            "nearest Resize and the Conv behind it: Conv, DepthToSpace and Slice, 16 "
            "multiplications instead of 36",
            resize_phases.find,
        ),
        Lowering(
            "resize-to-convtranspose",
            "nearest Resize and the Conv behind it: one ConvTranspose, 16 multiplications instead "
            "of 36",
            resize_deconvolution.find,
            float_only=True,
            excludes=("resize-to-phases",),
        ),
        Lowering(
            "phases-to-resize",
            "Conv and DepthToSpace that are such phases: nearest Resize and Conv",
            phases_resize.find,
            excludes=("resize-to-phases", "resize-to-convtranspose"),
        ),
        Lowering(
            "depthtospace-to-transpose",
            "DepthToSpace: Reshape, Transpose and Reshape",
            pixel_shuffle.find_transposed,
        ),
        Lowering(
            "depthtospace-to-convtranspose",
            "DepthToSpace: ConvTranspose that copies values",
            pixel_shuffle.find_deconvolved,
            float_only=True,
            excludes=("depthtospace-to-transpose",),
        ),
        Lowering(
            "spacetodepth-to-conv",
            "pixel-unshuffle and the Conv behind it: one strided Conv",
            pixel_shuffle.find_strided,
        ),
        Lowering("prelu-to-relu", "PRelu: two Relus, Mul and Add", activations.find_prelu),
        Lowering("leakyrelu-to-max", "LeakyRelu: Max(x, a x)", activations.find_leaky),
        Lowering(
            "clip-output",
            "the picture: clipped to [0, 1]",
            activations.find_output,
            meant=_clipped,
            float_only=True,
        ),
    )
}


@dataclass(frozen=True, eq=False)
class LoweredGraph:
    """A graph after its lowerings.

    Attributes:
        model: the graph.
        proofs: that each lowering kept the network.
        probes: the pictures that they were proven on, with what ``model`` gives out.
        counts: how many places each changed, by name.
        left: what stayed as it was, by lowering.
    """

    model: onnx.ModelProto
    proofs: tuple[PassProof, ...]
    probes: tuple[Probe, ...]
    counts: Mapping[str, int]
    left: Mapping[str, tuple[LeftAlone, ...]]

    def notes(self) -> Iterator[str]:
        """Yield one line for each lowering that changed nothing, and each node that it left."""
        for name, count in self.counts.items():
            for item in self.left[name]:
                yield f"--lower {name} leaves {item.node} as it is: {item.reason}"
            if count == 0 and not self.left[name]:
                yield f"--lower {name} changes nothing: the network has nothing of the kind"


def parse_lowerings(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of some lowerings, each once, in the order in which they are applied.

    Args:
        names: as given to ``--lower``, each may be several with commas between.

    Raises:
        UsageError: there is none of that name, or two of them contradict each other.

    >>> parse_lowerings(["prelu-to-relu,resize-to-phases", "prelu-to-relu"])
    ('resize-to-phases', 'prelu-to-relu')
    """
    asked = {part.strip() for name in names for part in name.split(",")}
    for name in sorted(asked - LOWERINGS.keys()):
        raise UsageError(f"found --lower {name!r}; choose among {', '.join(LOWERINGS)}")
    for item in LOWERINGS.values():
        for other in item.excludes:
            if {item.name, other} <= asked:
                raise UsageError(f"found --lower {item.name} beside {other}; give one of them")
    return tuple(name for name in LOWERINGS if name in asked)


def require_quantizable(
    names: Sequence[str], profile: TargetProfile, *, full_integer: bool
) -> None:
    """Refuse lowerings that leave an operator in float where none may be.

    Raises:
        UsageError: a target, or the user, wants every operator quantized.
    """
    for name in names:
        if LOWERINGS[name].float_only and (profile.every_operator or full_integer):
            cause = "--full-integer" if full_integer else f"target {profile.name}"
            raise UsageError(
                f"--lower {name} leaves an operator that is not quantized, and {cause} quantizes "
                "every one; leave one of them out"
            )


def lower_graph(
    model: onnx.ModelProto, names: Sequence[str], probes: Sequence[Probe]
) -> LoweredGraph:
    """Apply lowerings one after the other.

    Args:
        model: a float graph of one input and one output; it is not changed.
        names: of :func:`parse_lowerings`.
        probes: inputs to prove each on.

    Raises:
        GraphError: one did not keep the network.
    """
    proofs: list[PassProof] = []
    counts: dict[str, int] = {}
    left: dict[str, tuple[LeftAlone, ...]] = {}
    for name in names:
        index = GraphIndex(model)
        found = list(LOWERINGS[name].find(index))
        places = [item for item in found if isinstance(item, Replacement)]
        counts[name] = len(places)
        left[name] = tuple(item for item in found if isinstance(item, LeftAlone))
        if not places:
            continue
        after = replaced(index, places)
        meant = [
            Probe(probe.values, LOWERINGS[name].meant(outputs))
            for probe, outputs in zip(probes, _outputs(model, probes), strict=True)
        ]
        proofs += prove_rewrites(model, {name: after}, meant)
        model = after
        probes = [Probe(probe.values) for probe in probes]
    known = [Probe(p.values, o) for p, o in zip(probes, _outputs(model, probes), strict=True)]
    return LoweredGraph(model, tuple(proofs), tuple(known), counts, left)


def _outputs(model: onnx.ModelProto, probes: Sequence[Probe]) -> list[Outputs]:
    known = [probe.outputs for probe in probes if probe.outputs is not None]
    return known if len(known) == len(probes) else outputs_of(model, [p.values for p in probes])
