"""The table of toolchains: which routes are run on which bundle, and what a row says."""

import argparse

import pytest
from toolchains import HEAD, Asked, row

FOUND = {
    "inputs": 2,
    "precision": "int8",
    "parity_db_mean": 36.8249,
    "parity_db_lowest": 35.1,
    "beside_reference_db": -0.5,
    "building_seconds": {"convert": 10.0, "run": 30.4},
    "building_cpu_seconds": {"convert": 9.0, "run": 50.0},
    "cpu_seconds": {"convert": 9.0, "run": 57.0},
    "drawing_seconds": {"convert": 0.0, "run": 5.0},
    "pictures": {"convert": 0, "run": 2},
    "peak_mb": {"convert": 700, "run": 5000},
}


def cells(asked: Asked, kind: str, document: object) -> list[str]:
    """Return the cells of the row of a toolchain's last route."""
    found = [cell.strip() for cell in row(asked, asked.routes[-1], kind, document).split("|")[1:-1]]
    assert len(found) == len(HEAD.splitlines()[1].split("|")) - 2
    return found


def test_only_own_quantization_is_run_on_the_plain_float_file() -> None:
    for name in ("rknn", "openvino"):
        runs = [(route.name, kind) for route, kind in Asked.of(name).runs]
        assert {route for route, kind in runs if kind == "plain"} <= {"own"}
        assert [route for route, kind in runs if kind == "ours"] == [
            route.name for route in Asked.of(name).routes
        ]
    assert ("own", "plain") in [(r.name, kind) for r, kind in Asked.of("rknn").runs]


def test_a_row_adds_up_the_stages() -> None:
    litert = Asked.of("litert=2")
    assert litert.first == 2
    assert cells(litert, "plain", {"routes": [FOUND]}) == [
        *("litert", "own, the plain float file", "int8", "2", "36.82", "35.10", "-0.50"),
        *("40", "59", "2.50", "3.50", "5000"),
    ]


def test_figures_that_are_not_there_are_not_made_up() -> None:
    bare = {**FOUND, "inputs": 0, "beside_reference_db": None, "pictures": {"run": 0}}
    bare["building_cpu_seconds"] = {"convert": 9.0, "run": None}
    assert cells(Asked.of("coreml"), "ours", {"routes": [bare]})[3:] == [
        *("0", "-", "-", "-", "40", "-", "-", "-", "5000")
    ]


def test_a_toolchain_that_fails_says_so_in_its_row() -> None:
    said = cells(Asked.of("litert"), "ours", {"error": {"message": "it failed: a | b"}})
    assert said[2:] == ["failed: it failed: a / b", *["-"] * 9]


def test_a_route_that_is_not_there_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="litert has no route qdq"):
        Asked.of("litert/qdq")
