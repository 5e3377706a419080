"""Keep what was learned of a network until the build that it is for is whole.

Beside the weights that GPTQ rounded (deploy/build/kept_rounding.py): a file is of one plan, one set
of pictures, one device and one code; any other, and a damaged one, is made anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from calib.archive import content_digest
from calib.dataset import PatchSet
from calib.digest import canonical_json, sha256_bytes
from deploy.artifacts.own_code import code_digest
from deploy.build.kept_file import KeptRecord, named, numbered, read_kept, write_kept
from deploy.build.kept_learning import KeptLearning
from quant.evidence import Device, RefinementRecord
from quant.plan import QuantPlan
from quant.qdq.int8_weights import RoundedWeights
from quant.refinement.learning_state import KeepsNothing, StateKeeper
from quant.refinement.recorded_scales import LearnedScales, Refined


@dataclass(frozen=True)
class RefinementFile(KeptRecord):
    """What stands in a file of learned values beside its arrays.

    Attributes:
        record: what was learned.
        scales: names of the weights whose scales were learned, in the order of the arrays.
        codes: names of the weights, likewise.
        biases: names of the biases, likewise.
        nearest: weights that are rounded to nearest instead, with the reason.
    """

    record: RefinementRecord
    scales: tuple[str, ...]
    codes: tuple[str, ...]
    biases: tuple[str, ...]
    nearest: Mapping[str, str]


def kept_refinement(
    folder: Path | None,
    plan: QuantPlan,
    patches: PatchSet,
    device: Device,
    make: Callable[[Callable[[str], StateKeeper]], Refined],
) -> tuple[Refined, bool]:
    """Return what was learned for a plan, kept or made now, and whether it was kept.

    Args:
        folder: of the unfinished build; ``None`` keeps nothing.
        plan: what is refined, with the record of its rounding.
        patches: the pictures that it learns from.
        device: where.
        make: learns; it is given what keeps the state of a stage, by the stage's name.
    """
    if folder is None:
        return make(lambda _: KeepsNothing()), False
    facts = [plan.to_record(), asdict(patches.record()), device, code_digest()]
    made_from = sha256_bytes(canonical_json(facts))
    name = f"{plan.target}-{made_from[:16]}"
    path = folder / f"{name}.refinement"
    found = read_refinement(path, made_from)
    if found is not None:
        return found, True
    made = make(
        lambda stage: KeptLearning(folder / f"{name}.{stage.replace(' ', '-')}.learning", made_from)
    )
    _write(path, made_from, made)
    for state in folder.glob(f"{name}.*.learning"):  # large, and of no more use
        state.unlink()
    return made, False


def _write(path: Path, made_from: str, made: Refined) -> None:
    scales, codes, biases = made.scales.weights, made.weights.codes, made.weights.biases
    arrays = numbered(scales=scales.values(), codes=codes.values(), biases=biases.values())
    record = RefinementFile(
        made_from,
        content_digest(arrays),
        made.record,
        tuple(scales),
        tuple(codes),
        tuple(biases),
        made.weights.nearest,
    )
    write_kept(path, record, arrays)


def read_refinement(path: Path, made_from: str) -> Refined | None:
    """Return what a file holds, or ``None`` where it is missing, damaged or of something else.

    Args:
        path: the file.
        made_from: digest of all that the values must follow from.
    """
    found = read_kept(path, RefinementFile, made_from)
    if found is None:
        return None
    file, arrays = found
    scales, codes, biases = (
        named(arrays, kind, getattr(file, kind)) for kind in ("scales", "codes", "biases")
    )
    weights = RoundedWeights(codes, biases, file.nearest)
    return Refined(file.record, LearnedScales(file.record.activations, scales), weights)
