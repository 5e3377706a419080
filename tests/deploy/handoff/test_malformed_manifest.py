"""No manifest of a bundle, however spoiled, ends in a traceback: each gives one line with a path.

No network is run: what is asked is what becomes of the document. ``handoff --check`` runs the
models only after every file proved to be the one that the manifest names.
"""

from collections import Counter
from pathlib import Path

import pytest

from calib.errors import VerificationError
from calib.records import spell_path
from deploy.handoff import check
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import unpack
from deploy.progress import Silent
from tests.deploy.builds import run
from tests.deploy.malformed import Spoiled, spoiled_texts, spoiled_values

MANIFEST = "manifest.json"


@pytest.fixture
def folder(vacc_only: Path, tmp_path: Path) -> Path:
    """A bundle's folder, to be spoiled."""
    unpack(vacc_only, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what runs the models of the bundle."""
    monkeypatch.setattr(check, "_check_outputs", lambda *_: iter(()))
    monkeypatch.setattr(check, "_check_engines", lambda *_: iter(()))


def refusal(folder: Path, spoiled: Spoiled) -> str | None:
    (folder / MANIFEST).write_bytes(spoiled.content)
    try:
        read_contents(folder)
    except VerificationError as error:
        line = str(error)
        assert line.startswith(f"the bundle's {MANIFEST}"), (spoiled, line)
        assert "\n" not in line, (spoiled, line)
        return line
    return None


@pytest.mark.usefixtures("no_network")
def test_every_spoiled_value_is_refused_or_another_of_its_kind(folder: Path) -> None:
    ends: Counter[str] = Counter()
    for spoiled in spoiled_values((folder / MANIFEST).read_bytes()):
        line = refusal(folder, spoiled)
        if line is None:
            found = check.check_bundle(folder, Silent())
            ends["another value of its kind" if found.passed else "found by a check"] += 1
            continue
        if "expected" in line and spoiled.path:
            assert str(spoiled.path[0]) in line, (spoiled, line)
        if spoiled.change == "added":
            assert f": {spell_path(spoiled.path)} is" in line or spoiled.path[0] in {
                "int8_models", "golden", "options", "saturable", "versions", "weights",
            }, (spoiled, line)  # fmt: skip
        ends["refused"] += 1
    print(MANIFEST, sum(ends.values()), dict(ends))
    assert ends["refused"] > 500


def test_every_spoiled_text_is_refused(folder: Path) -> None:
    for spoiled in spoiled_texts((folder / MANIFEST).read_bytes()):
        assert refusal(folder, spoiled), spoiled


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[" * 100_000, "the bundle's manifest.json is not JSON: recursion limit exceeded"),
        (b"null", "the bundle's manifest.json is null, expected an object"),
        (b'{"schema": "esrdeploy.handoff/1"}', 'schema is "esrdeploy.handoff/1", expected'),
    ],
    ids=["deep", "null", "older"],
)
def test_check_says_so_and_exits_1(folder: Path, content: bytes, line: str) -> None:
    (folder / MANIFEST).write_bytes(content)
    result = run("handoff", "--check", folder)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert line in " ".join(result.output.split())
