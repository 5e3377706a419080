"""No verdict on a return is lost to another one, wherever it is written."""

import json
from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.handoff.returned.place import asked_place, is_report, usual_place

VERDICT = json.dumps({"schema": "esrdeploy.returned/3"}).encode()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: str, record: bytes) -> tuple[str, str]:
    place = usual_place(Path(folder), record)
    place.page.write_bytes(b"page of " + record)
    place.record.write_bytes(record)
    assert is_report(place.page)
    assert is_report(place.record)
    return place.page.name, place.note


def test_every_return_has_its_own_place() -> None:
    assert written("first", b"1") == ("first-returned-report.html", "")
    assert written("deep/second", b"1") == ("second-returned-report.html", "")


def test_another_verdict_on_a_folder_of_the_same_name_stays() -> None:
    assert written("out", b"1") == ("out-returned-report.html", "")
    first = "another verdict is kept in out-returned-report.html"
    assert written("elsewhere/out", b"2") == ("out-returned-report-2.html", first)
    assert written("out", b"3")[0] == "out-returned-report-3.html"
    assert written("out", b"2") == ("out-returned-report-2.html", "")  # the same again
    assert Path("out-returned-report.json").read_bytes() == b"1"


@pytest.mark.parametrize("inside", [".", "Result_0/deep"])
def test_a_current_folder_among_what_was_returned_stays_as_it_came(
    here: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = here / "out"
    (returned / inside).mkdir(parents=True)
    monkeypatch.chdir(returned / inside)
    assert usual_place(returned, b"1").page == here / "out-returned-report.html"


@pytest.mark.parametrize("page", ["out/page.html", "out/deep/page", "out/../out/page.html"])
def test_a_place_among_what_was_returned_is_refused(page: str) -> None:
    Path("out").mkdir()
    with pytest.raises(UsageError, match="stays as it came"):
        asked_place(Path(page), Path("out"))


def test_one_name_is_enough() -> None:
    place = asked_place(Path("verdict"), Path("out"))
    assert (place.page, place.record) == (Path("verdict.html"), Path("verdict.json"))


@pytest.mark.parametrize("taken", ["page.html", "page.json"])
def test_what_is_no_verdict_is_not_replaced(taken: str) -> None:
    Path(taken).write_bytes(b'{"schema": ["other"]}')
    with pytest.raises(UsageError, match=rf"{taken} is there already and is no verdict"):
        asked_place(Path("page.html"), Path("out"))


def test_a_verdict_that_gives_way_is_told_of() -> None:
    page = Path("page.html")
    assert asked_place(page, Path("out")).note == ""
    Path("page.json").write_bytes(VERDICT)
    assert (
        asked_place(page, Path("out")).note
        == "the earlier verdict in page.html gives way to this one"
    )
    with pytest.raises(UsageError, match=r"ends in \.html"):
        asked_place(Path("page.json"), Path("out"))
