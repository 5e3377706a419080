"""No JSON file of a build, however spoiled, ends in a traceback: each gives one line with a path.

Whoever spoils a file here makes the manifest agree with its digest. No network is run: what is
asked is what becomes of a document, and a document that the reader refuses is refused before any
model is looked at. One that it takes goes through every check that runs no network.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from calib.digest import sha256_bytes
from calib.errors import VerificationError
from calib.graph import GraphIndex, graph_digest
from calib.records import spell_path
from calib.table import CalibrationTable
from deploy.artifacts import build_folder
from deploy.artifacts.build_folder import load_build
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.onnx_files import load_model
from deploy.progress import Silent
from deploy.verify import ranges, reproduce
from deploy.verify.contents import check_contents, open_build
from quant.fp16.convert import to_fp16
from quant.fp16.range import check_fp16, nodes_to_keep
from quant.planner import plan_graph
from tests.deploy.builds import ARRAYS, FLOAT, HALF, INT8, PLAN, TABLE, run
from tests.deploy.malformed import Spoiled, spoiled_texts, spoiled_values

MANIFEST, PARITY = "manifest.json", "parity.json"
FREE = {
    MANIFEST: {
        "network.architecture": "a description",
        "options.targets.ort.promoted": "absent stands for no promoted node",
        "options.targets.ort.quantization": "null stands for a default, which gives the same plan",
        "network.same_architecture_as": "a description",
        "network.known_as": "says where to look for the weights, whose digest is judged",
        "verified_on.choice": "how the pictures were chosen; which they are is judged",
        "verified_on.images.origin": "likewise",
        "verified_on.images.requested": "likewise",
        "verified_on.images.seed": "likewise",
        "versions": "what it was built with",
        "weights": "judged where the weights are at hand",
    },
    PLAN: {
        "proofs": "figures of a run that nothing repeats",
        "rounded.images": "pictures that decided; what was decided is judged",
    },
    TABLE: {},
    PARITY: {
        f"artifacts[{json.dumps(name)}].per_image[{position}].name": "a picture's name"
        for name in (FLOAT, HALF, INT8)
        for position in (0, 5)
    },
}
"""Fields that may hold another value of their kind, by the path's beginning, with the reason."""


def known(work: Callable[..., Any], key: Callable[..., Hashable]) -> Callable[..., Any]:
    """Return the same work, done once for each key; what it refuses it refuses each time."""
    answers: dict[Hashable, Any] = {}

    def once(*asked: Any, **options: Any) -> Any:
        kind = key(*asked, **options)
        if kind not in answers:
            answers[kind] = work(*asked, **options)
        return answers[kind]

    return once


@pytest.fixture
def files_worked_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work once on models and table of the same content, and not again for every document."""

    def models_of(path: Path, name: str) -> Hashable:
        return path.read_bytes(), name

    def tables_of(path: Path) -> Hashable:
        return path.read_bytes(), path.with_suffix(".npz").read_bytes()

    def plans_of(graph: GraphIndex, table: CalibrationTable, *asked: object) -> Hashable:
        return graph.digest, table.digest, repr(asked)

    def halves_of(model: onnx.ModelProto, table: CalibrationTable, *asked: object, **kept: object):
        return graph_digest(model), table.digest, repr((asked, kept))

    monkeypatch.setattr(build_folder, "load_model", known(load_model, models_of))
    load_table = known(CalibrationTable.load, tables_of)
    monkeypatch.setattr(CalibrationTable, "load", staticmethod(load_table))
    monkeypatch.setattr(reproduce, "plan_graph", known(plan_graph, plans_of))
    monkeypatch.setattr(reproduce, "nodes_to_keep", known(nodes_to_keep, halves_of))
    monkeypatch.setattr(reproduce, "to_fp16", known(to_fp16, halves_of))
    monkeypatch.setattr(ranges, "check_fp16", known(check_fp16, halves_of))


def store(folder: Path, name: str, content: bytes) -> None:
    """Write a file, and make the manifest agree with its digest and length."""
    (folder / name).write_bytes(content)
    if name == MANIFEST:
        return
    manifest = json.loads((folder / MANIFEST).read_text())
    for artifact in manifest["artifacts"]:
        if artifact["path"] == name:
            artifact |= {"sha256": sha256_bytes(content), "size_bytes": len(content)}
    if name == TABLE:
        manifest["calibration"]["digest"] = sha256_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def refusals(folder: Path, name: str) -> list[str]:
    """Return what reading says of a file, one line for each complaint."""
    try:
        manifest = read_manifest(folder / MANIFEST)
    except VerificationError as error:
        return [str(error)]
    _, failed = load_build(folder, manifest, {name, INT8, ARRAYS})
    return [f"{check.artifact}: {check.detail}" for check in failed]


def failures(folder: Path) -> list[str]:
    """Return what the checks say that run no network."""
    checked = check_contents(open_build(folder, read_manifest(folder / MANIFEST)), Silent())
    return [f"{c.artifact}, {c.name}: {c.detail}" for c in checked.checks if c.status == "failed"]


def require_one_line(lines: list[str], name: str, spoiled: Spoiled) -> None:
    assert len(lines) == 1, (spoiled, lines)
    assert name in lines[0], (spoiled, lines)
    assert "\n" not in lines[0], (spoiled, lines)


def is_free(name: str, spoiled: Spoiled) -> bool:
    return spell_path(spoiled.path).startswith(tuple(FREE[name]))


@pytest.mark.parametrize("name", [MANIFEST, PLAN, TABLE, PARITY])
@pytest.mark.usefixtures("files_worked_on_once")
def test_every_spoiled_value_is_refused_or_found(name: str, built: Path, copy: Path) -> None:
    original = (built / name).read_bytes()
    ends: Counter[str] = Counter()
    for spoiled in spoiled_values(original):
        store(copy, name, spoiled.content)
        if lines := refusals(copy, name):
            require_one_line(lines, name, spoiled)
            if "expected" in lines[0] or "missing" in lines[0]:
                assert _names(lines[0], spoiled), (spoiled, lines)
            ends["refused"] += 1
            continue
        found = failures(copy)
        assert found or is_free(name, spoiled), spoiled
        assert not any("\n" in line for line in found), spoiled
        ends["found by a check" if found else "another value of its kind"] += 1
        shutil.copy(built / MANIFEST, copy)
    print(name, sum(ends.values()), dict(ends))
    assert ends["refused"] > 100


def _names(line: str, spoiled: Spoiled) -> bool:
    """Tell whether a line names the value or, where that is right by itself, what holds it."""
    paths = [spell_path(spoiled.path[:end]) for end in range(len(spoiled.path), 0, -1)]
    return not paths or any(path in line for path in paths)


@pytest.mark.parametrize("name", [MANIFEST, PLAN, TABLE, PARITY])
def test_every_spoiled_text_is_refused(name: str, built: Path, copy: Path) -> None:
    for spoiled in spoiled_texts((built / name).read_bytes()):
        store(copy, name, spoiled.content)
        require_one_line(refusals(copy, name), name, spoiled)
        shutil.copy(built / MANIFEST, copy)


def cases() -> Iterator[tuple[str, str | bytes, str]]:
    """Give a file, its bytes or the key whose value becomes 7, and what is said of it."""
    deep = b"[" * 100_000
    yield MANIFEST, deep, "manifest.json is not JSON: recursion limit exceeded"
    for key in ("calibration", "network", "options", "parity", "weights", "fp16_kept"):
        yield MANIFEST, key, f"manifest.json: {key} is 7, expected an object; build again"
    yield PLAN, b"[]", "plan.json is [], expected an object; build again"
    yield PLAN, b"null", "plan.json is null, expected an object; build again"
    yield PLAN, deep, "plan.json is not JSON: recursion limit exceeded"
    yield TABLE, "images", "calibration.json: images is 7, expected an object"
    yield TABLE, deep, "calibration.json is not JSON: recursion limit exceeded"
    yield PARITY, deep, "parity.json is not JSON: recursion limit exceeded"


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [*cases()],
    ids=[f"{name} {i}" for i, (name, *_) in enumerate(cases())],
)
def test_verify_says_so_and_exits_1(name: str, change: str | bytes, line: str, copy: Path) -> None:
    content = change
    if isinstance(change, str):
        content = json.dumps(json.loads((copy / name).read_text()) | {change: 7}).encode()
    store(copy, name, content)
    (copy / FLOAT).unlink()  # nothing can be run, and nothing has to be
    result = run("verify", copy, "--backend", "none")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert line in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_everything_else_is_still_judged(copy: Path) -> None:
    store(copy, PLAN, b"[]")
    checked = check_contents(open_build(copy, read_manifest(copy / MANIFEST)), Silent())
    failed = [(check.artifact, check.name) for check in checked.checks if check.status == "failed"]
    assert failed == [(PLAN, "plan")]
    judged = {check.artifact for check in checked.derivation if check.status == "passed"}
    assert judged == {HALF}


@pytest.mark.parametrize("name", [PLAN, TABLE, PARITY])
@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b"{}"], ids=["list", "null", "7", "{}"])
def test_no_network_is_run_while_a_record_cannot_be_read(
    name: str, content: bytes, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(built, tmp_path / "tiny"))
    store(folder, name, content)
    monkeypatch.setattr("deploy.verify.verdict.compare_models", None)
    monkeypatch.setattr("deploy.verify.verdict.measure_layers", None)
    result = run("verify", folder)
    assert result.exit_code == 1, result.output
    words = " ".join(result.stdout.split())
    assert f"FAIL {name}" in words
    assert f"no network is run while {name} cannot be used" in words


@pytest.mark.parametrize(
    ("field", "value"),
    [("parameters", 1), ("macs", 1), ("architecture", "RRDBNet, 99 blocks")],
)
def test_a_manifest_that_tells_of_another_network_fails(  # noqa: PLR0917  # fixtures
    field: str,
    value: object,
    built: Path,
    picture: Path,
    tiny_weights: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(built, tmp_path / "tiny"))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["network"][field] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    result = run("verify", folder, "--weights", tiny_weights, "--images", picture)
    assert result.exit_code == 1
    assert "the manifest records" in " ".join(result.stdout.split())
