"""Keep the weights that GPTQ rounded until the build that they are for is whole.

Rounding is the longest stage of a build. What one target's weights came out as is kept beside the
calibration table in the unfinished build, so that whoever is killed during the next target, or
while the models are compared, does not round it again. A file is of one plan, one set of pictures
and one code; any other, and a damaged one, is made anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from calib.archive import content_digest, read_archive, write_archive
from calib.arrays import AnyArray
from calib.dataset import PatchSet
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError
from calib.records import Sha256, decode, encode
from deploy.artifacts.own_code import code_digest
from quant.plan import QuantPlan
from quant.qdq.int8_weights import RoundedWeights


@dataclass(frozen=True)
class RoundingFile:
    """What stands in a file of rounded weights beside its arrays.

    Attributes:
        made_from: digest of all that the weights follow from.
        codes: names of the rounded weights, in the order of the arrays.
        biases: names of the biases, likewise.
        nearest: weights that are rounded to nearest instead, with the reason.
        arrays_sha256: digest of the arrays.
    """

    made_from: Sha256
    codes: tuple[str, ...]
    biases: tuple[str, ...]
    nearest: Mapping[str, str]
    arrays_sha256: Sha256


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
    arrays: dict[str, AnyArray] = {
        **{f"codes-{place}": value for place, value in enumerate(made.codes.values())},
        **{f"biases-{place}": value for place, value in enumerate(made.biases.values())},
    }
    record = RoundingFile(
        made_from, tuple(made.codes), tuple(made.biases), dict(made.nearest), content_digest(arrays)
    )
    write_archive(path, arrays, record=encode(record), compress=False)


def read_rounding(path: Path, made_from: str) -> RoundedWeights | None:
    """Return what a file holds, or ``None`` where it is missing, damaged or of something else.

    Args:
        path: the file.
        made_from: digest of all that the weights must follow from.
    """
    if not path.is_file():
        return None
    try:
        arrays, content = read_archive(path)
        record = decode(content or b"", RoundingFile, path.name, CalibrationError, "build again")
    except CalibrationError:
        return None
    if (record.made_from, record.arrays_sha256) != (made_from, content_digest(arrays)):
        return None
    codes = {name: arrays[f"codes-{place}"] for place, name in enumerate(record.codes)}
    biases = {name: arrays[f"biases-{place}"] for place, name in enumerate(record.biases)}
    return RoundedWeights(codes, biases, dict(record.nearest))
