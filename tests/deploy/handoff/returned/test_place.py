"""A verdict is written where it is asked for or to the current folder, and no other one is lost."""

import json
from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.handoff.returned.place import asked_place, place_here
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import save_all

VERDICT = {"schema": "esrdeploy.returned/3", "model": "x", "vendor": "qnn", "folder": "out"}


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
    assert asked_place(page, Path("out")).notes == ()
    Path("page.json").write_text(json.dumps(VERDICT))
    place = asked_place(page, Path("out"))
    place.require_same({**VERDICT, "passed": True})
    assert place.notes == ("replaces the earlier verdict in page.html",)
    with pytest.raises(UsageError, match=r"ends in \.html"):
        asked_place(Path("page.json"), Path("out"))


@pytest.mark.parametrize("key", ["model", "vendor", "folder"])
def test_the_verdict_on_another_return_stays(key: str) -> None:
    Path("page.json").write_text(json.dumps(VERDICT))
    place = asked_place(Path("page"), Path("out"))
    with pytest.raises(UsageError, match=r"on another return, x on qnn in a folder out"):
        place.require_same({**VERDICT, key: "other"})


@pytest.mark.parametrize(
    ("names", "page"),
    [
        (("net", "qnn", "out"), "net-qnn-out-verdict.html"),
        (("net", "qnn", "from vendor: 1"), "net-qnn-from_vendor__1-verdict.html"),
        (("../up", "a/b", "\udcff\n"), ".._up-a_b-__-verdict.html"),
        (("x" * 255, "\u00e9" * 99, "y" * 255), f"{'x' * 60}-{'é' * 30}-{'y' * 60}-verdict.html"),
        (("net", "qnn", "-x"), "net-qnn--x-verdict.html"),
    ],
)
def test_a_return_names_its_verdict_and_the_name_is_a_file_s(
    names: tuple[str, str, str], page: str
) -> None:
    model, vendor, folder = names
    place = place_here(model, vendor, Path("returns") / folder)
    assert (place.page, place.beside) == (Path(page), False)
    place.page.touch()
    assert [path.name for path in Path().iterdir()] == [page]


@pytest.mark.parametrize("inside", [".", "deep"])
def test_from_within_a_return_its_verdict_goes_beside_it(
    inside: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "out" / "deep").mkdir(parents=True)
    monkeypatch.chdir(here / "out" / inside)
    place = place_here("net", "qnn", here / "out")
    assert place.page == here.resolve() / "net-qnn-out-verdict.html"
    assert "beside the folder that was returned" in place.notes[0]
    with pytest.raises(UsageError, match="every folder is in /, which was returned"):
        place_here("net", "qnn", Path("/"))


def test_without_a_word_the_verdict_is_in_the_current_folder(
    folder: Path, here: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs, lambda array: array[:, ::-1])
    before = sorted(folder.iterdir())
    words = ("verify", "--returned", folder, unpacked, "--vendor", "openvino")
    page = "small-openvino-returned-verdict"
    first = run(*words)
    assert first.exit_code == 1
    assert first.stdout.endswith(f"report: {page}.html, and {page}.json beside it\n")
    assert "replaces" not in first.stderr
    save_all(folder, outputs)  # corrected, in the same folder
    again = run(*words, "--json")
    assert again.exit_code == 0
    assert f"replaces the earlier verdict in {page}.html" in again.stderr
    assert f"report: {page}.html" in again.stderr
    assert json.loads(again.stdout) == json.loads((here / f"{page}.json").read_text())
    assert {path.name for path in here.iterdir()} == {f"{page}.html", f"{page}.json"}
    assert sorted(folder.iterdir()) == before


def test_what_cannot_be_kept_is_judged_all_the_same(
    folder: Path, here: Path, unpacked: Path, outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_all(folder, outputs)
    words = ("verify", "--returned", folder, unpacked, "--vendor", "openvino")
    page = "small-openvino-returned-verdict"

    def require_shown(reason: str) -> None:
        result = run(*words)
        assert result.exit_code == 0, result.output
        *_, verdict, last = result.stdout.splitlines()
        assert verdict.startswith("accepted")
        assert last.startswith("the verdict was not kept: ")
        assert reason in last
        assert reason in run(*words, "--json").stderr

    (here / f"{page}.json").write_text(json.dumps({**VERDICT, "folder": "another"}))
    require_shown(f"{page}.html is the verdict on another return, x on qnn in a folder another")
    (here / f"{page}.json").write_text("no verdict")
    require_shown(f"{page}.json is there already and is no verdict on a return")
    assert [path.read_text() for path in here.iterdir()] == ["no verdict"]
    monkeypatch.chdir("/proc")  # takes no files, not even from root
    require_shown(f"cannot write {page}.json")
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    require_shown("No such file or directory")


def test_who_judges_again_and_again_is_left_with_what_was_asked_for(
    folder: Path, here: Path, unpacked: Path, outputs
) -> None:
    save_all(folder, outputs, lambda array: array[:, ::-1])
    before = sorted(folder.iterdir())
    words = ("verify", "--returned", folder, unpacked, "--vendor")
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
