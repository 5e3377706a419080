"""The house: sizes of its modules, floors of its rooms, and the picture of both in the docs."""

import re
import statistics
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("deploy", "quant", "calib")
MOST_LINES = 300
MOST_LINES_OF_HALF = 130
MOST_FLOORS = 10
PAGE = (ROOT / "docs" / "architecture.md").read_text()

Arrows = dict[str, set[str]]


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES)


def rooms(package: str) -> Arrows:
    """Return each module or folder of a package with those that it imports from."""
    room_of = {
        module: room.removeprefix(f"{package}.")
        for room in graph().find_children(package)
        for module in {room, *graph().find_descendants(room)}
    }
    arrows: Arrows = {room: set() for room in room_of.values()}
    for module, room in room_of.items():
        for other in graph().find_modules_directly_imported_by(module):
            if other in room_of and room_of[other] != room:
                arrows[room].add(room_of[other])
    return arrows


def below(arrows: Arrows, room: str) -> set[str]:
    return arrows[room].union(*(below(arrows, other) for other in arrows[room]))


def height(arrows: Arrows, room: str) -> int:
    return 1 + max((height(arrows, other) for other in arrows[room]), default=0)


def drawn(package: str) -> Arrows:
    """Return the arrows of a package in the page's picture."""
    (block,) = re.findall(rf"subgraph {package}\n(.*?)\n  end", PAGE, re.DOTALL)
    arrows: Arrows = {}
    for left, right in re.findall(r"(\w+) --> (\w+)", block):
        arrows.setdefault(left, set()).add(right)
        arrows.setdefault(right, set())
    return arrows


def modules(*folders: str) -> dict[str, int]:
    return {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }


def test_no_module_is_long() -> None:
    lines = modules(*PACKAGES, "tests", "benchmarks", "tools")
    assert len(lines) > 300
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_half_of_the_modules_are_short() -> None:
    lines = modules(*PACKAGES)
    counts = [count for name, count in lines.items() if not name.endswith("__init__.py")]
    assert statistics.median(counts) <= MOST_LINES_OF_HALF


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_has_more_floors_than_a_person_climbs(package: str) -> None:
    arrows = rooms(package)
    assert 1 < max(height(arrows, room) for room in arrows) <= MOST_FLOORS


@pytest.mark.parametrize("package", ["deploy", "quant"])
def test_the_picture_shows_the_imports(package: str) -> None:
    arrows = rooms(package)
    shown = {
        room: {
            other
            for other in others
            if not any(other in below(arrows, between) for between in others - {other})
        }
        for room, others in arrows.items()
    }
    assert drawn(package) == shown


def test_the_page_names_files_that_exist() -> None:
    named = re.findall(r"`((?:deploy|quant|calib|tests|docs)/[\w/.-]+)`", PAGE)
    assert len(named) > 40
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_room_is_told_of() -> None:
    table = PAGE[PAGE.index("| room | holds |") : PAGE.index("## The way of a build")]
    told = set(re.findall(r"\w+", table))
    assert {room for package in ("deploy", "quant") for room in rooms(package)} <= told
