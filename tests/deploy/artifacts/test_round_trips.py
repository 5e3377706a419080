"""Whatever a record holds, its file read back is the same record, and written again the same file.

Records are made from their annotations alone, so a field that is added is tried as well.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import astuple, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from calib.degradation.pairs import PairsRecord
from calib.degradation.parameters import (
    DegradationParameters,
    KernelChances,
    ResizeChances,
    RoundParameters,
)
from calib.errors import VerificationError
from calib.images_record import ImagesRecord, PatchRecord
from calib.journal import JournalRecord
from calib.json_schemas import json_schema
from calib.records import (
    Count,
    Integer64,
    NotNegative,
    Percentile,
    PlainName,
    PlainPath,
    Positive,
    Probability,
    Scale,
    Sha256,
    decode,
    encode,
)
from calib.table import TableDocument
from calib.tile import Size, Tile
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import ParityFile
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.handoff.returned.quantization import OutputQuantization
from quant.plan import QuantOptions, QuantPlan
from quant.sensitivity import SensitivityFile

RECORDS = (
    BundleManifest,
    DegradationParameters,
    JournalRecord,
    Manifest,
    PairsRecord,
    ParityFile,
    QuantPlan,
    SensitivityFile,
    TableDocument,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text("abZ09", min_size=1, max_size=4).map(lambda start: f"{start}._-")
SIDES = st.integers(16, 512)
OF_KIND: dict[Any, st.SearchStrategy[Any]] = {
    Count: st.integers(0, 2**63 - 1),
    Integer64: st.integers(-(2**63), 2**63 - 1),
    NotNegative: st.floats(0, 1e300),
    Percentile: st.floats(50, 100, exclude_min=True),
    PlainName: NAMES,
    PlainPath: st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    Positive: st.integers(1, 2**63 - 1),
    Probability: st.floats(0, 1),
    KernelChances: st.permutations(astuple(KernelChances())).map(
        lambda found: KernelChances(*found)
    ),
    ResizeChances: st.permutations((0.5, 0.375, 0.125)).map(lambda found: ResizeChances(*found)),
    RoundParameters: st.sampled_from(
        [DegradationParameters().first, DegradationParameters().second]
    ),
    Scale: st.integers(1, 8),
    Sha256: st.binary(min_size=32, max_size=32).map(bytes.hex),
    Size: st.builds(Size, SIDES, SIDES),
    Tile: st.builds(Tile, SIDES, SIDES, st.integers(1, 16)),
    bool: st.booleans(),
    float: FINITE,
    int: st.integers(),
    str: st.text(max_size=8),
    types.NoneType: st.none(),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return what a field of that annotation can hold."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in OF_KIND:
        return OF_KIND[hint]
    assert origin is not Annotated, f"say above what {hint} can hold"
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {Union, types.UnionType}:
        return st.one_of([values(argument) for argument in arguments])
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=6), values(arguments[1]), max_size=2)
    if origin is tuple:
        listed = st.lists(values(arguments[0]), max_size=2).map(tuple)
        return listed if arguments[-1] is Ellipsis else st.tuples(*map(values, arguments))
    assert is_dataclass(hint), hint
    return records(hint)


def records(kind: Any) -> st.SearchStrategy[Any]:
    """Return records of a kind."""
    hints = get_type_hints(kind, include_extras=True)
    given_fields = {item.name: values(hints[item.name]) for item in fields(kind)}
    if kind is ImagesRecord:
        del given_fields["count"]
        given_fields["patches"] = st.lists(records(PatchRecord), min_size=1, max_size=2).map(tuple)
        return st.fixed_dictionaries(given_fields).map(
            lambda found: ImagesRecord(**found, count=len(found["patches"]))
        )
    if kind is QuantOptions:  # learning goes on where GPTQ ends
        return st.fixed_dictionaries(given_fields).map(
            lambda found: QuantOptions(
                **found | ({"rounding": "gptq"} if found["effort"] == "high" else {})
            )
        )
    return st.builds(kind, **given_fields)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_a_record_comes_back_and_is_written_the_same(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    content = encode(record)
    found = decode(content, kind, "file", VerificationError, "")
    assert found == record
    assert encode(found) == content
    Draft202012Validator(json_schema(kind)).validate(json.loads(content))


def test_the_quantization_of_outputs_comes_back() -> None:
    codes = OutputQuantization("int8", 0.0039, -128)
    assert decode(encode(codes), OutputQuantization, "file", VerificationError, "") == codes
