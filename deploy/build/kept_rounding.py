"""Keep the weights that GPTQ rounded until the build that they are for is whole.

Rounding is the longest stage of a build. What one target's weights came out as is kept beside the
calibration table in the unfinished build, so that whoever is killed during the next target, or
while the models are compared, does not round it again. A file is of one plan, one set of pictures
and one code; any other, and a damaged one, is made anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from calib.archive import content_digest
from calib.dataset import PatchSet
from calib.digest import canonical_json, sha256_bytes
from deploy.artifacts.own_code import code_digest
from deploy.build.kept_file import KeptRecord, named, numbered, read_kept, write_kept
from quant.plan import QuantPlan
from quant.qdq.int8_weights import RoundedWeights


@dataclass(frozen=True)
class RoundingFile(KeptRecord):
    """What stands in a file of rounded weights beside its arrays.

    Attributes:
        codes: names of the rounded weights, in the order of the arrays.
        biases: names of the biases, likewise.
        nearest: weights that are rounded to nearest instead, with the reason.
    """

    codes: tuple[str, ...]
    biases: tuple[str, ...]
    nearest: Mapping[str, str]


def kept_rounding(
    folder: Path | None, plan: QuantPlan, patches: PatchSet, make: Callable[[], RoundedWeights]
) -> tuple[RoundedWeights, bool]:
    """Return the rounded weights of a plan, kept or made now, and whether they were kept.

    Args:
        folder: of the unfinished build; ``None`` keeps nothing.
        plan: what is rounded, and how.
        patches: the pictures that it is rounded on.
        make: rounds.
    """
    if folder is None:
        return make(), False
    made_from = sha256_bytes(
        canonical_json([plan.to_record(), asdict(patches.record()), code_digest()])
    )
    path = folder / f"{plan.target}-{made_from[:16]}.rounding"
    found = read_rounding(path, made_from)
    if found is not None:
        return found, True
    made = make()
    _write(path, made_from, made)
    return made, False


def _write(path: Path, made_from: str, made: RoundedWeights) -> None:
    arrays = numbered(codes=made.codes.values(), biases=made.biases.values())
    record = RoundingFile(
        made_from, content_digest(arrays), tuple(made.codes), tuple(made.biases), dict(made.nearest)
    )
    write_kept(path, record, arrays)


def read_rounding(path: Path, made_from: str) -> RoundedWeights | None:
    """Return what a file holds, or ``None`` where it is missing, damaged or of something else.

    Args:
        path: the file.
        made_from: digest of all that the weights must follow from.
    """
    found = read_kept(path, RoundingFile, made_from)
    if found is None:
        return None
    record, arrays = found
    codes = named(arrays, "codes", record.codes)
    biases = named(arrays, "biases", record.biases)
    return RoundedWeights(codes, biases, dict(record.nearest))
