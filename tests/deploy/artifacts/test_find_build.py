"""Builds are found alike by whoever asks: by name, by path, all of them; and refused alike."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError, VerificationError
from calib.images import write_image
from deploy.artifacts.files import MANIFEST_NAME, UNFINISHED_NAME
from deploy.artifacts.find_build import (
    build_folders,
    find_build,
    find_builds,
    find_several,
    only_build,
)
from tests.deploy.builds import run
from tests.deploy.manifests import manifest_of

BUNDLE = b'{"schema": "esrdeploy.handoff/1"}'
COMMANDS = {
    "upscale": ("upscale", "{picture}", "{folder}/large.png"),
    "bench": ("bench",),
    "eval": ("eval", "--data", "{folder}"),
    "compare": ("compare", "{picture}"),
}


def lay_build(folder: Path) -> Path:
    """Lay down the manifest of a build."""
    folder.mkdir(parents=True)
    content = manifest_of(folder.name, [("fp32", None), ("fp16", None)]).content()
    (folder / MANIFEST_NAME).write_bytes(content)
    return folder


def lay_bundle(folder: Path) -> Path:
    """Lay down what tells a bundle."""
    folder.mkdir(parents=True)
    (folder / MANIFEST_NAME).write_bytes(BUNDLE)
    return folder


def made_by(name: str) -> str:
    return f"make {name}"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """Builds side by side, one of them below another folder and one not finished; a bundle."""
    folder = tmp_path / "dist"
    for name in ("a", "b", "old/a", "old/c", f"b/{UNFINISHED_NAME}"):
        lay_build(folder / name)
    lay_bundle(folder / "unpacked")
    (folder / "empty").mkdir()
    return folder


def test_all_builds_are_listed_and_nothing_else(dist: Path) -> None:
    expected = [dist / name for name in ("a", "b", "old/a", "old/c")]
    assert build_folders(dist) == expected
    assert find_builds(dist) == [*expected, dist / "unpacked"]  # who judges passes nothing over
    found = find_several(dist, (), made_by)
    assert [*found] == expected
    assert [manifest.model for manifest in found.values()] == ["a", "b", "a", "c"]
    assert [*find_several(dist, ("c", "a", "c"), made_by)] == [dist / "old/c", dist / "a"]


@pytest.mark.parametrize(
    ("builds", "model", "folder"),
    [
        ("dist", "b", "dist/b"),
        ("dist", "a", "dist/a"),
        ("dist", "old/a", "dist/old/a"),
        ("dist", "c", "dist/old/c"),
        ("dist", "elsewhere/a", "elsewhere/a"),
        ("elsewhere", "a", "elsewhere/a"),
        ("elsewhere", "dist/b", "dist/b"),
        ("elsewhere", None, "elsewhere/a"),
        ("dist/b", None, "dist/b"),
        ("dist/b", "b", "dist/b"),
        ("nowhere", "b", "b"),
        ("dist", "d", "d"),
    ],
)
def test_a_build_is_known_by_its_name_and_by_its_path(
    builds: str, model: str | None, folder: str, dist: Path, monkeypatch
) -> None:
    monkeypatch.chdir(dist.parent)
    for name in ("elsewhere/a", "a", "b", "d"):  # the last three have names of others, or could
        lay_build(Path(name))
    found, manifest = find_build(Path(builds), model, made_by)
    assert (found, manifest.model) == (Path(folder), Path(folder).name)


@pytest.mark.parametrize(
    ("builds", "model", "message"),
    [
        ("dist", None, "found several builds in dist: a, b, old/a, old/c; choose one with --model"),
        ("more", "a", "found several builds of a in more: x/a, y/a; choose one with --model"),
        (
            "dist",
            "e",
            "found no build of e in dist, but a, b, old/a, old/c; make e, or name the folder of "
            "your builds with --builds",
        ),
        (
            "more",
            "x/aa",
            "found no build of x/aa in more, but x/a, y/a; make x/aa, or name the folder of your "
            "builds with --builds; did you mean x/a?",
        ),
        (
            "dist/empty",
            None,
            "found no build in dist/empty; run 'esrdeploy build --model NAME' first, or name the "
            "folder of your builds with --builds",
        ),
        (
            "absent",
            "a",
            "found no build of a in absent; make a, or name the folder of your builds with "
            "--builds",
        ),
    ],
)
def test_what_is_not_one_build_is_refused_with_those_there_are(
    builds: str, model: str | None, message: str, dist: Path, monkeypatch
) -> None:
    monkeypatch.chdir(dist.parent)
    lay_build(Path("more/x/a"))
    lay_build(Path("more/y/a"))
    with pytest.raises(UsageError) as refused:
        find_build(Path(builds), model, made_by)
    assert str(refused.value) == message


@pytest.mark.parametrize("door", [only_build, find_builds])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("dist/empty", "found no "),
        ("absent", "found no folder absent; run 'esrdeploy build' first"),
        ("x.zip", "x.zip is a zip, not a folder of builds; 'esrdeploy handoff --check'"),
    ],
)
def test_a_path_without_a_build_is_refused(
    path: str, message: str, door: Callable[[Path], object], dist: Path, monkeypatch
) -> None:
    monkeypatch.chdir(dist.parent)
    Path("x.zip").touch()
    with pytest.raises(UsageError, match=re.escape(message)):
        door(Path(path))


def test_the_only_build_at_a_path_or_below_it(dist: Path) -> None:
    lay_build(dist / "a" / "inner")
    assert only_build(dist / "a")[0] == dist / "a"
    assert only_build(dist / "b")[0] == dist / "b"
    with pytest.raises(UsageError, match=rf"old/c; name the folder of one, such as {dist}/a$"):
        only_build(dist)


@pytest.mark.parametrize("place", ["unpacked", "."], ids=["itself", "above it"])
def test_a_bundle_alone_is_said_to_be_one(place: str, tmp_path: Path) -> None:
    lay_bundle(tmp_path / "unpacked")
    path = tmp_path / place
    for door in (only_build, lambda path: find_build(path, None, made_by)):
        with pytest.raises(UsageError, match="is a handoff bundle, not a build"):
            door(path)


def test_a_broken_manifest_is_named_by_every_door(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / MANIFEST_NAME).write_text("{")
    for door in (
        only_build,
        lambda path: find_build(path, "a", made_by),
        lambda path: find_several(path, (), made_by),
    ):
        with pytest.raises(VerificationError, match="is not JSON"):
            door(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("x4plus", "run 'esrdeploy build --model x4plus' first"),
        ("mine", "'esrdeploy build --weights FILE --name NAME' makes one"),
        ("oldd/a", "did you mean old/a?"),
        ("unpackt", "or name the folder of your builds with --builds"),
    ],
)
def test_every_command_that_takes_builds_refuses_in_the_same_words(
    command: str, model: str, words: str, dist: Path
) -> None:
    write_image(dist / "picture.png", np.zeros((8, 8, 3), np.uint8))
    line = [word.format(picture=dist / "picture.png", folder=dist) for word in COMMANDS[command]]
    result = run(*line, "--builds", dist, "--model", model)
    assert result.exit_code == 2, result.output
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("esrdeploy: ")]
    assert said.startswith(
        f"esrdeploy: found no build of {model} in {dist}, but a, b, old/a, old/c"
    )
    assert words in said
