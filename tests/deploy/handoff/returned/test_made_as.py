"""Outputs of another precision or target than they are judged as are recognised."""

from pathlib import Path

import numpy as np
import pytest

from deploy.handoff.acceptance import Scales
from deploy.handoff.bundle_manifest import GoldenVector, golden_path, read_contents
from deploy.handoff.returned import judge as judging
from deploy.handoff.returned.limit import Limit
from deploy.handoff.returned.made_as import made_as
from tests.deploy.handoff.returned.returns import Array, judge, save_all


def computed(unpacked: Path, kind: str, noise: float) -> dict[str, Array]:
    """What a kind of model gives, as another engine of other rounding would compute it."""
    rng = np.random.default_rng(3)
    names = [vector.name for vector in read_contents(unpacked).golden]
    golden = {name: np.load(unpacked / golden_path(kind, name)) for name in names}
    return {
        name: array + rng.normal(0, noise, array.shape).astype(np.float32)
        for name, array in golden.items()
    }


@pytest.mark.parametrize(
    ("kind", "noise", "vendor", "judged", "found"),
    [
        ("int8-qnn", 1e-5, "qnn", "fp32", "int8 qnn"),
        ("int8-qnn", 3e-3, "qnn", "fp16", "int8 qnn"),
        ("int8-qnn", 3e-3, "rknn", "fp16", "int8 qnn"),
        ("float", 5e-4, "qnn", "fp32", "fp16"),
    ],
)
def test_it_is_named_with_the_option(  # noqa: PLR0917  # the case
    folder: Path, unpacked: Path, kind: str, noise: float, vendor: str, judged: str, found: str
) -> None:
    save_all(folder, computed(unpacked, kind, noise))
    verdict = judge(folder, unpacked, vendor, precision=judged)
    assert not verdict.passed
    lines = [*verdict.failures, verdict.cause or "", verdict.explanation or ""]
    precision, _, profile = found.partition(" ")
    option = f"judge it with --precision {precision}" + f" --profile {profile}" * bool(profile)
    assert option in " ".join(lines), lines
    assert {image.made_as.named for image in verdict.images if image.made_as} == {found}


VECTOR = GoldenVector(
    "00-x", "x.png", "sample", "0" * 64, {"qnn": 45.0, "qnn-w8a16": 50.0},
    {"qnn": 46.0, "qnn-w8a16": 52.0},
)  # fmt: skip


@pytest.mark.parametrize(
    ("psnr_db", "nearest", "judged", "found"),
    [
        (45.0, "qnn", ("qnn-w8a16", "ours"), "int8 qnn"),
        (50.0, "qnn-w8a16", ("qnn", "ours"), "int8 qnn-w8a16"),
        (48.0, "qnn", ("qnn", "ours"), "int8 qnn-w8a16"),
        (40.0, "qnn", ("qnn-w8a16", "ours"), None),
        (40.0, "qnn", ("qnn-w8a16", "own"), "int8 qnn"),
        (26.0, "qnn", ("qnn", "ours"), None),
        (26.0, "qnn", ("qnn", "own"), None),
        (60.0, "none", ("qnn", "ours"), None),
    ],
)
def test_another_target_is_named(
    psnr_db: float, nearest: str, judged: tuple[str, Scales], found: str | None
) -> None:
    between_db = {name: 80.0 if name == nearest else 44.0 for name in ("qnn", "qnn-w8a16")}
    limit = Limit("int8", *judged, asked=True, vendor="qnn")
    made = made_as(psnr_db, between_db, VECTOR, limit)
    assert (None if made is None else made.named) == found
    if made is not None:
        assert made.cause == f"an output of {found}, judged as int8 {judged[0]}"
        assert made.evidence.endswith(f"judge it with --precision int8 --profile {made.profile}")


@pytest.mark.parametrize("wrong", ["channels", "values"])
def test_a_broken_picture_is_not_taken_for_another_precision(
    folder: Path, unpacked: Path, outputs, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is plainly wrong ends without running a network: that would take minutes."""
    monkeypatch.setattr(judging, "find_saturation", lambda *given: given[3] and pytest.fail("ran"))
    spoil = {"channels": lambda a: a[:, ::-1], "values": lambda a: a * 255}[wrong]
    save_all(folder, outputs, spoil)
    for precision in ("int8", "fp16"):
        verdict = judge(folder, unpacked, "qnn", precision=precision)
        assert not verdict.passed
        assert verdict.failures[0].startswith("too far off: 8 of 8 outputs, the worst ")
        assert "judged as" not in (verdict.cause or "")
