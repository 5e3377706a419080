"""The table of toolchains: which routes are run on which bundle, and what a row says."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
from toolchains import HEAD, Asked, row

from deploy.simulate.usage import StageUsage, keep_usage

FOUND = {
    "inputs": 2,
    "precision": "int8",
    "parity_db_mean": 36.8249,
    "parity_db_lowest": 35.1,
    "beside_reference_db": -0.5,
}
CONVERT = StageUsage(10.0, 9.0, 0.0, 0, 9.0, 700 * 10**6)
RUN = StageUsage(30.4, 50.0, 5.0, 2, 57.0, 5000 * 10**6)


def simulated(asked: Asked, folder: Path, **stages: StageUsage) -> dict[str, object]:
    """Lay down what the stages of a toolchain's last route took; return how a document names it."""
    route = folder / asked.routes[-1].name
    route.mkdir(exist_ok=True)
    for name, used in stages.items():
        keep_usage(route, name, used, anew=True)
    return {"folder": str(folder)}


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


def test_a_row_adds_up_the_stages(tmp_path: Path) -> None:
    litert = Asked.of("litert=2")
    assert litert.first == 2
    document = simulated(litert, tmp_path, convert=CONVERT, run=RUN)
    assert cells(litert, "plain", {**document, "routes": [FOUND]}) == [
        *("litert", "own, the plain float file", "int8", "2", "36.82", "35.10", "-0.50"),
        *("40", "59", "2.50", "3.50", "5000"),
    ]


def test_figures_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    routes = {"routes": [{**FOUND, "inputs": 0, "beside_reference_db": None}]}
    coreml = Asked.of("coreml")
    document = simulated(coreml, tmp_path) | routes
    assert cells(coreml, "ours", document)[3:] == ["0", *["-"] * 8]
    unread = replace(RUN, building_cpu_seconds=None, pictures=0)
    document = simulated(coreml, tmp_path, convert=CONVERT, run=unread) | routes
    assert cells(coreml, "ours", document)[3:] == [
        *("0", "-", "-", "-", "40", "-", "-", "-", "5000")
    ]


def test_a_toolchain_that_fails_says_so_in_its_row() -> None:
    said = cells(Asked.of("litert"), "ours", {"error": {"message": "it failed: a | b"}})
    assert said[2:] == ["failed: it failed: a / b", *["-"] * 9]


def test_a_route_that_is_not_there_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="litert has no route qdq"):
        Asked.of("litert/qdq")
