"""Equalize across layers (cross-layer equalization, CLE): bring channels to like magnitudes.

A quantized tensor has one scale; a channel ten times smaller than the largest is left with a
tenth of the integer levels. Channels can be rescaled without changing the network
(quant/passes/equalization_sets.py): channel k of tensor T is divided by the factor f of its class,
and the convolutions on both sides make up for it,

    W'[o, i] = W[o, i] * f_in[i] / f_out[o]        b'[o] = b[o] / f_out[o],

and so do residual scales (quant/analysis/scale_absorbers.py), whose constant becomes one per
channel:

    c'[k] = c * f_in[k] / f_out[k].

The factors come from m_T[k], the magnitude of each channel (quant/passes/magnitudes.py), on two
kinds of tensor. A class with one convolution as its source is measured at that convolution's
output, before the activation, because some targets quantize there too. A class with several
sources, the residual trunk, is measured wherever a convolution or a Concat reads it.

    t_c = exp(mean over (T, k) in c of log(m_T[k] / geomean_k(m_T)))        profile of a class

is dimensionless: it makes the channels of a tensor alike and leaves its size as it was. Alone it
is all that a tail convolution or the end of a residual branch needs:

    f_c = t_c.

Where there is no trunk (SRVGGNet), every weight that an int8 convolution has reads such a tensor,
and what activations gain weights lose: about three quarters of the way serve both,

    f_c = t_c^a    (quant/passes/exponents.py).

Of a chain of PReLUs or ReLUs factors are chosen for the error that each leaves in the output
instead (quant/passes/chain_factors.py).

Trunk tensors share their factors but not their sizes, hence the mean of logarithms. A trunk
channel made larger is a weight column made smaller in every convolution that reads it, so what
activations gain weights lose; the two meet half way, as in SmoothQuant (Xiao et al., 2022,
arXiv:2211.10438, alpha = 0.5), unless the trunk itself is in 8 bits and gains at every addition:

    f_c = t_c^a,    a = 1/2 for the trunk in float, 3/4 where it is rounded, 3/5 if that is long.

A growth tensor is joined with the trunk tensor x by a Concat, whose one scale must serve both.
Its size is free, so every growth channel is brought to the size that x has after equalization:

    A = max_c(m_x[c] / f_x[c])        f_c = m[c] / A        (= t_c * geomean(m) / A),

or, where its zero point may differ from that of x, a little larger, since next to nothing of it
lies below 0:

    f_c = m[c] / (5/4 A).

Parity of x4plus-anime-6b for ort on 18 DIV2K pairs and on 14 photographs of other kinds, with
growth of 1, 5/4 and 3/2 of the size of x: 41.53 and 41.90, 41.85 and 42.29, 41.66 and 42.19 dB.

Measured with target ort, parity of 8-bit pictures with float on DIV2K, in dB: growth gains 2.1
on x4plus-anime-6b (four pictures, weights rounded to nearest).

Factors are rounded to eighths of an octave, so that two machines choose the same. Only the int8
models are rescaled; the float and the fp16 file keep the weights as they were trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from calib.arrays import Bool, Float32, Float64, Int64
from calib.errors import CalibrationError
from calib.graph import GraphIndex
from quant.analysis.scale_absorbers import can_absorb_scale
from quant.numerics.clipping_weights import Trunk
from quant.passes.equalization_sets import ChannelClasses, channel_classes
from quant.passes.exponents import CHAIN_EXPONENT, TRUNK_EXPONENT
from quant.passes.rescale import Equalized, rescaled

# Channels below this share of the tensor's maximum carry noise; equalizing would amplify them on
# images that do use them.
_DEAD = 2.0**-16
# log2 of the largest profile and level: fp16 keeps normal numbers, and weights their precision.
_LIMIT = 6.0
STEPS_PER_OCTAVE = 8
GROWTH_SIZE = 1.0
GROWTH_SIZE_APART = 1.25


def equalized_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the tensors whose channel magnitudes ``equalize`` needs, in graph order."""
    return _Streams(GraphIndex(model)).measured


def equalize(  # noqa: PLR0913  # one for each part of a network
    model: onnx.ModelProto,
    magnitudes: Mapping[str, Float32 | Float64],
    *,
    trunk: float = TRUNK_EXPONENT,
    chain: float = CHAIN_EXPONENT,
    growth: float = GROWTH_SIZE,
    steps_per_octave: int = STEPS_PER_OCTAVE,
) -> Equalized:
    """Rescale every channel that can be, to the size that quantizes best.

    Args:
        model: the float graph; it is not changed.
        magnitudes: ``[C]`` absolute maximum per channel of each of
            ``equalized_tensors(model)``, over a few pictures.
        trunk: exponent of the factors of classes of several sources: 0 leaves them as they
            are, 1 makes their channels alike.
        chain: the same of all classes of a graph that has no class of several sources.
        growth: size of growth channels, in sizes of the trunk tensor beside them.
        steps_per_octave: factors are rounded to powers of ``2**(1 / steps_per_octave)``; with 1
            the result is equal bit for bit.

    Raises:
        CalibrationError: magnitudes of a tensor are missing, of another length, or no numbers.
    """
    index = GraphIndex(model)
    streams = _Streams(index)
    measured = {name: _checked(name, magnitudes, streams.classes) for name in streams.measured}
    profile = _profile(measured, streams.classes)
    profile[streams.sources > 1] *= trunk
    if streams.without_trunk:
        profile *= chain
    exponents = profile + _levels(streams, measured, profile, np.log2(growth))
    exponents = np.rint(exponents * steps_per_octave) / steps_per_octave
    exponents[streams.classes.pinned] = 0.0
    return rescaled(index, streams.classes, np.exp2(exponents))


def trunks(model: onnx.ModelProto) -> tuple[tuple[str, ...], ...]:
    """Return the tensors of each residual trunk, in graph order: their channels share factors."""
    index = GraphIndex(model)
    streams = _Streams(index)
    found: dict[tuple[int, ...], list[str]] = {}
    for node in index.nodes:
        for tensor in filter(None, node.output):
            of = streams.classes.of.get(tensor)
            if of is not None and streams.is_trunk(tensor):
                found.setdefault(tuple(of.tolist()), []).append(tensor)
    return tuple(map(tuple, found.values()))


def trunk_of(model: onnx.ModelProto, *, in_float: bool) -> Trunk:
    """Return what adds a network's residual branches up, where additions are in float or not."""
    if not trunks(model):
        return "none"
    return "float" if in_float else "rounded"


@dataclass(frozen=True, eq=False)
class _Streams:
    """The classes of a graph with where they come from and where they are measured."""

    index: GraphIndex

    @cached_property
    def classes(self) -> ChannelClasses:
        return channel_classes(self.index)

    @cached_property
    def sources(self) -> Int64:
        """int64 ``[classes]``: how many convolutions and residual scales make each class."""
        made = [
            self.classes.of[node.output[0]]
            for node in self.index.nodes
            if can_absorb_scale(self.index, node) and node.output[0] in self.classes.of
        ]
        return np.bincount(np.concatenate([[], *made]).astype(int), minlength=self.classes.count)

    @property
    def without_trunk(self) -> bool:
        """Whether every class that can be rescaled has one source: a chain of convolutions."""
        return not (np.delete(self.sources, self.classes.pinned) > 1).any()

    @cached_property
    def measured(self) -> tuple[str, ...]:
        tensors = [name for node in self.index.nodes for name in node.output]
        return tuple(name for name in tensors if self._is_measured(name))

    def _is_measured(self, tensor: str) -> bool:
        free = self.classes.free(tensor)
        node = self.index.producer(tensor)
        if not free.any() or node is None or node.op_type == "Concat":
            return False
        if self.is_single(tensor):
            return node.op_type == "Conv"
        return any(n.op_type in {"Conv", "Concat"} for n in self.index.consumers(tensor))

    def is_single(self, tensor: str) -> bool:
        """Tell whether all free channels of ``tensor`` come from one convolution each."""
        free = self.classes.free(tensor)
        return bool(free.any() and (self.sources[self.classes.of[tensor][free]] == 1).all())

    def is_trunk(self, tensor: str) -> bool:
        """Tell whether several convolutions or residual scales make each channel of ``tensor``."""
        of = self.classes.of[tensor]
        return bool(self.classes.free(tensor).all() and (self.sources[of] > 1).all())

    def joins(self) -> list[tuple[list[str], list[str]]]:
        """Return what each Concat of channels joins: tensors that set the size, and the others."""
        found = []
        for node in self.index.nodes:
            if node.op_type == "Concat" and self.classes.free(node.output[0]).any():
                growth = [name for name in node.input if self.is_single(name)]
                if len(growth) == len(node.input):  # one convolution made the block's input, too
                    growth = growth[1:]
                found.append(([name for name in node.input if name not in growth], growth))
        return found


def _checked(
    name: str, magnitudes: Mapping[str, Float32 | Float64], classes: ChannelClasses
) -> Float64:
    if name not in magnitudes:
        raise CalibrationError(f"equalization needs the channel magnitudes of tensor {name!r}")
    values = np.asarray(magnitudes[name], np.float64)
    if values.shape != classes.of[name].shape or not (np.isfinite(values) & (values >= 0)).all():
        raise CalibrationError(
            f"magnitudes of tensor {name!r} have shape {list(values.shape)}; expected "
            f"{list(classes.of[name].shape)}, all finite and not negative"
        )
    return values


def _living(magnitudes: Float64) -> Bool:
    living: Bool = magnitudes > magnitudes.max(initial=0.0) * _DEAD
    return living


def _profile(measured: Mapping[str, Float64], classes: ChannelClasses) -> Float64:
    """Return log2 of t, float64 ``[classes]``; 0 for classes that are measured nowhere."""
    total, count = np.zeros(classes.count), np.zeros(classes.count)
    for name, magnitudes in measured.items():
        living = _living(magnitudes)
        logs = np.log2(magnitudes[living])
        np.add.at(total, classes.of[name][living], logs - logs.mean() if logs.size else logs)
        np.add.at(count, classes.of[name][living], 1.0)
    profile: Float64 = np.clip(total / np.maximum(count, 1.0), -_LIMIT, _LIMIT)
    return profile


def _levels(
    streams: _Streams, measured: Mapping[str, Float64], profile: Float64, larger: float
) -> Float64:
    """Return log2 of f / t, float64 ``[classes]``: nonzero for what a Concat joins.

    Growth channels become ``larger`` octaves larger than what they are joined with.
    """
    of = streams.classes.of
    size = np.full(streams.classes.count, np.nan)
    for name, magnitudes in measured.items():
        living = _living(magnitudes)
        if living.any():
            size[of[name]] = np.log2(magnitudes[living]).mean()
    levels = np.full(streams.classes.count, np.nan)
    for anchors, growth in streams.joins():
        sizes = [
            np.max(measured[name] / np.exp2(profile[of[name]]))
            for name in anchors
            if name in measured
        ]
        largest = max(sizes, default=0.0)
        if largest == 0.0:
            continue
        for name in growth:
            joined = of[name][np.isnan(levels[of[name]])]
            level = size[joined] - np.log2(largest) - larger
            levels[joined] = np.clip(level, -_LIMIT, _LIMIT)
    found: Float64 = np.nan_to_num(levels)
    return found
