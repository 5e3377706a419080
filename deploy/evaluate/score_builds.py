"""Score built models on a folder of evaluation pairs, for the vendor's table.

fp16 and int8 files are run in QDQ reference semantics, the float file as fast as the runtime can.
A file that is not the one its manifest names is refused.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from calib.arrays import Float32, Float64
from calib.colours import RGB
from calib.digest import canonical_json, sha256_bytes, sha256_file
from calib.div2k import Pair
from calib.errors import UsageError
from calib.images import Picture
from calib.tile import Tile
from deploy.artifacts.built_model import BuiltModel
from deploy.artifacts.judged_runner import judged_runner
from deploy.artifacts.precision import ModelPrecision
from deploy.evaluate.critic import Critic, CriticMeter
from deploy.evaluate.fid.frechet import frechet_distance
from deploy.evaluate.fid.inception_onnx import FeatureNetwork
from deploy.evaluate.protocols import OnPicture, evaluate
from deploy.evaluate.published_figures import SOURCE
from deploy.evaluate.request import (
    ScoringRequest,
    chosen_pairs,
    find_built_models,
    require_held_out,
)
from deploy.evaluate.vendor_table import Entry, VendorTable, with_float_scores
from deploy.network.macs import Complexity, complexity
from deploy.progress import Progress
from deploy.runtime.resized import resized_model
from deploy.runtime.runner import Runner
from deploy.runtime.tiling import MARGIN_PX, Tiling, tiled_runner

FEWEST_FOR_FID = 2


def score(
    request: ScoringRequest,
    progress: Progress,
    network: FeatureNetwork | None = None,
    critic: Critic | None = None,
) -> VendorTable:
    """Score every file that is asked for on every pair.

    Args:
        request: what to score.
        progress: told how far it is.
        network: what FID is taken over; ``None`` leaves FID out.
        critic: a discriminator to ask; ``None`` asks none.

    Raises:
        UsageError: there is no such build, a model was calibrated on a picture to be scored, or
            there is a single pair for FID.
        ImageSetError: the folder holds no evaluation pair.
        VerificationError: a file is not the one its manifest names.
    """
    chosen = find_built_models(request)
    pairs = {
        scale: chosen_pairs(request, scale) for scale in sorted({item.scale for item in chosen})
    }
    fewest = min(map(len, pairs.values()), default=FEWEST_FOR_FID)
    if network is not None and fewest < FEWEST_FOR_FID:
        raise UsageError(
            f"found {fewest} pair for FID, which compares distributions; expected at least "
            f"{FEWEST_FOR_FID}: give more pictures, or leave --fid out"
        )
    for item in chosen:
        require_held_out(item, pairs[item.scale])
    fid = None if network is None else _FidMeter(network)
    judge = None if critic is None else CriticMeter(critic)
    entries = [
        _score_one(item, pairs[item.scale], request, progress, fid=fid, judge=judge)
        for item in chosen
    ]
    notes = [*_notes(request, chosen, pairs, network), *([] if judge is None else [judge.note()])]
    return VendorTable(with_float_scores(entries), _images_record(pairs), tuple(notes))


def _score_one(  # noqa: PLR0913  # the last two are asked or not
    item: BuiltModel,
    pairs: Sequence[Pair],
    request: ScoringRequest,
    progress: Progress,
    *,
    fid: "_FidMeter | None",
    judge: CriticMeter | None,
) -> Entry:
    artifact, model = item.artifact, item.read()
    assert artifact.precision is not None
    run = _SizedRunner(model, artifact.precision, item.scale, item.tile, request)
    meters = [meter.scored(item.scale) for meter in (fid, judge) if meter is not None]

    def on_picture(pair: Pair, reference: Picture, picture: Picture) -> None:
        for meter in meters:
            meter(pair, reference, picture)

    with progress.stage(f"scoring {artifact.path}", len(pairs)) as advance:
        scores = evaluate(
            run,
            pairs,
            scale=item.scale,
            shape=request.shape,
            tile=item.tile,
            on_picture=on_picture,
            advance=advance,
        )
    cost = complexity(model)
    return Entry(
        model=item.manifest.stem,
        path=artifact.path,
        sha256=artifact.sha256,
        precision=artifact.precision,
        target=artifact.target,
        shape=request.shape,
        shape_text=run.shape_text,
        gflops=run.gflops(cost),
        parameters=cost.parameters,
        scores=scores,
        fid=None if fid is None else fid.distance(item.scale),
        critic=None if judge is None else judge.mean(),
    )


class _SizedRunner:
    """Runs a model at the size that is asked for, and keeps count of the pixels it ran on."""

    def __init__(
        self,
        model: onnx.ModelProto,
        precision: ModelPrecision,
        scale: int,
        tile: Tile,
        request: ScoringRequest,
    ) -> None:
        self._model, self._precision, self._scale = model, precision, scale
        self._tile = tile
        self._in_tiles = request.shape == "source" and not request.whole
        self._whole = request.shape == "source" and request.whole
        self._runs: dict[tuple[int, ...], Runner] = {}
        self._pixels: list[int] = []

    def __call__(self, network_input: Float32) -> Float32:
        height, width = network_input.shape[2:]
        size = (height, width) if self._whole else self._tile.sides
        if size not in self._runs:
            model = self._model
            if self._whole:
                model = resized_model(model, height, width, self._scale)
            runner = judged_runner(model, self._precision)
            # One size at a time: a session of a large picture holds gigabytes.
            self._runs = {
                size: tiled_runner(runner, self._scale, self._tile.size)
                if self._in_tiles
                else runner
            }
        tiles = len(Tiling(height, width, self._tile.size)) if self._in_tiles else 1
        self._pixels.append(tiles * size[0] * size[1])
        return self._runs[size](network_input)

    def gflops(self, fixed: Complexity) -> float:
        """Return the vendor's count for a picture, given that at the fixed size; the mean."""
        return fixed.vendor_gflops * float(np.mean(self._pixels)) / math.prod(self._tile.sides)

    @property
    def shape_text(self) -> str:
        """What the column shape says."""
        if self._in_tiles:
            return f"source, tiles of {self._tile.channels}x{self._tile.size}"
        return "source, whole" if self._whole else f"{self._tile.channels}x{self._tile.size}"


@dataclass
class _FidMeter:
    """Gathers features of references, once, and of one model's pictures at a time."""

    network: FeatureNetwork
    references: dict[tuple[int, str], Float64] = field(default_factory=dict)
    drawn: dict[str, Float64] = field(default_factory=dict)

    def scored(self, scale: int) -> OnPicture:
        """Return what receives a model's pictures; those of the model before are forgotten."""
        self.drawn = {}

        def on_picture(pair: Pair, reference: Picture, picture: Picture) -> None:
            key = (scale, pair.name)
            if key not in self.references:
                self.references[key] = self.network.features(reference)
            self.drawn[pair.name] = self.network.features(picture)

        return on_picture

    def distance(self, scale: int) -> float:
        """Return the distance of the pictures from their references."""
        references = [self.references[scale, name] for name in self.drawn]
        return frechet_distance(np.stack(references), np.stack(list(self.drawn.values())))


def _images_record(pairs: dict[int, tuple[Pair, ...]]) -> dict[str, Any]:
    names = sorted({pair.name for chosen in pairs.values() for pair in chosen})
    files = sorted({path for chosen in pairs.values() for p in chosen for path in (p.lr, p.hr)})
    digests = [[path.name, sha256_file(path)] for path in files]
    return {"count": len(names), "names": names, "digest": sha256_bytes(canonical_json(digests))}


def _notes(
    request: ScoringRequest,
    chosen: Sequence[BuiltModel],
    pairs: dict[int, tuple[Pair, ...]],
    network: FeatureNetwork | None,
) -> Iterator[str]:
    counts = sorted({len(some) for some in pairs.values()})
    colours = sorted({"RGB" if item.tile.channels == RGB else "luma" for item in chosen})
    counted, kinds = ", ".join(map(str, counts)), " or ".join(colours)
    yield f"{counted} evaluation pairs; {kinds}, 8 bits; means over the images"
    if request.shape == "fixed":
        yield (
            "LR to the input's size and HR to the output's, both by INTER_AREA: the vendor's "
            "protocol, whose input is 128x128"
        )
    elif request.whole:
        yield "the network run at the LR picture's own size; compared at full HR size"
    else:
        yield (
            f"tiles of the input's size, the outer {MARGIN_PX} pixels discarded (a quarter of a "
            "side, where that is less), the rest blended; compared at full HR size; flops over "
            "all tiles of a picture"
        )
    yield "fp16 and int8 in QDQ reference semantics, every graph optimization off"
    yield "less float's: the figure less that of float on the same pictures; below 0 is a loss"
    yield f"published: {SOURCE}; a dash where nothing is known or was measured"
    if network is not None:
        yield (
            f"FID over features of {network.name}; over so few images it compares rows of this "
            "table, nothing else"
        )
