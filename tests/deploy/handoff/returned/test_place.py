"""A verdict is written where it is asked for, and no other one is lost."""

import json
from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.handoff.returned.place import asked_place
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import save_all

VERDICT = {"schema": "esrdeploy.returned/3", "model": "x", "vendor": "qnn", "folder": "out"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.mark.parametrize("page", ["out/page.html", "out/deep/page", "out/../out/page.html"])
def test_a_place_among_what_was_returned_is_refused(page: str) -> None:
    Path("out").mkdir()
    with pytest.raises(UsageError, match="stays as it came"):
        asked_place(Path(page), Path("out"))


def test_one_name_is_enough() -> None:
    place = asked_place(Path("verdict"), Path("out"))
    assert (place.page, place.record) == (Path("verdict.html"), Path("verdict.json"))


@pytest.mark.parametrize("taken", ["page.html", "page.json"])
@pytest.mark.parametrize(
    "content", [b'{"schema": ["other"]}', b"[]", b"\xff", b"[" * 100_000], ids=len
)
def test_what_is_no_verdict_is_not_replaced(taken: str, content: bytes) -> None:
    Path(taken).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{taken} is there already and is no verdict"):
        asked_place(Path("page.html"), Path("out"))


def test_the_verdict_on_the_same_return_gives_way_and_is_told_of() -> None:
    page = Path("page.html")
    assert asked_place(page, Path("out")).note == ""
    Path("page.json").write_text(json.dumps(VERDICT))
    place = asked_place(page, Path("out"))
    place.require_same({**VERDICT, "passed": True})
    assert place.note == "replaces the earlier verdict in page.html"
    with pytest.raises(UsageError, match=r"ends in \.html"):
        asked_place(Path("page.json"), Path("out"))


@pytest.mark.parametrize("key", ["model", "vendor", "folder"])
def test_the_verdict_on_another_return_stays(key: str) -> None:
    Path("page.json").write_text(json.dumps(VERDICT))
    place = asked_place(Path("page"), Path("out"))
    with pytest.raises(UsageError, match=r"on another return, x on qnn in a folder out"):
        place.require_same({**VERDICT, key: "other"})


def test_who_judges_again_and_again_is_left_with_what_was_asked_for(
    folder: Path, here: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs, lambda array: array[:, ::-1])
    before = sorted(folder.iterdir())
    words = ("verify", "--returned", folder, unpacked, "--vendor")
    assert "nothing was written; --report NAME.html" in run(*words, "openvino").stdout
    assert run(*words, "openvino", "--json").exit_code == 1
    assert list(here.iterdir()) == []
    assert run(*words, "openvino", "--report", "verdict").exit_code == 1
    save_all(folder, outputs)  # corrected, in the same folder
    again = run(*words, "openvino", "--report", "verdict")
    assert again.exit_code == 0, again.output
    assert "replaces the earlier verdict in verdict.html" in again.stderr
    assert {path.name for path in here.iterdir()} == {"verdict.html", "verdict.json"}
    assert sorted(folder.iterdir()) == before
    first = (here / "verdict.json").read_bytes()
    assert json.loads(first)["passed"] is True
    other = run(*words, "tensorrt", "--report", "verdict")
    assert other.exit_code == 2
    assert "is the verdict on another return" in other.stderr
    assert (here / "verdict.json").read_bytes() == first
