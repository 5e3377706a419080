"""What is drawn in idle time is what is drawn otherwise, and ends when it is told to."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.chart import CHART_NAME
from calib.colours import RGB
from calib.images import to_input
from calib.sample import sample_patches
from calib.tile import USUAL_TILE, Tile
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.judged_runner import judged_runner
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.precision import ModelPrecision
from deploy.progress import Silent
from deploy.runtime.outputs import held_at_once
from deploy.runtime.runner import Runner
from deploy.verify.chart import measure_chart
from deploy.verify.compare_models import compare_models
from deploy.verify.contents import open_build
from deploy.verify.drawing_ahead import DrawingAhead
from deploy.verify.verdict import verify_tree

PATCHES = sample_patches("verification", 3).patches


def finished(ahead: DrawingAhead, count: int) -> None:
    """Wait until some outputs are there."""
    for _ in range(3000):
        if len(ahead._drawn) >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(ahead._drawn)} of {count} drawn")


def test_what_is_drawn_ahead_is_what_the_comparison_draws(small_build: Path) -> None:
    opened = open_build(small_build, read_manifest(small_build / MANIFEST_NAME))
    build, files = opened.build, [item.path for item in opened.build.manifest.models()]
    with DrawingAhead(PATCHES, USUAL_TILE) as ahead:
        ahead.draw_with_all(build)
        finished(ahead, 3 * len(files))
        known = ahead.outputs()
    assert set(known) == {(file, patch.name) for file in files for patch in PATCHES}
    alone = compare_models(build, PATCHES, Silent())
    for place, output in alone.outputs.drawn().items():
        np.testing.assert_array_equal(known[place], output)


def test_the_chart_is_drawn_by_the_files_that_are_held_against_it(small_build: Path) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    files = {item.path: item.precision for item in build.manifest.models()}
    with DrawingAhead(PATCHES[:1], USUAL_TILE, chart=True) as ahead:
        ahead.draw_with_all(build)
        finished(ahead, 2 * len(files) - 1)
    charted = {files[file] for file, picture in ahead.outputs() if picture == CHART_NAME}
    assert charted == {"fp32", "int8"}
    (found,) = measure_chart(build, Silent(), ahead.outputs())
    assert (found,) == measure_chart(build, Silent())


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_comparison_draws_what_is_not_known(
    small_build: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    alone = compare_models(build, PATCHES, Silent())
    known = dict(list(alone.outputs.drawn().items())[:count])
    runs: list[int] = []

    def counted(model: onnx.ModelProto, precision: ModelPrecision) -> Runner:
        run = judged_runner(model, precision)
        return lambda network_input: (runs.append(1), run(network_input))[1]

    monkeypatch.setattr("deploy.verify.compare_models.judged_runner", counted)
    compared = compare_models(build, PATCHES, Silent(), known)
    assert compared.parity == alone.parity
    assert len(runs) == len(alone.outputs.drawn()) - count


def test_no_further_inference_starts_once_it_is_stopped(
    small_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    running, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def slow(*_: object) -> Runner:
        def run(network_input: np.ndarray) -> np.ndarray:
            runs.append(1)
            running.set()
            go_on.wait(30)
            return network_input

        return run

    monkeypatch.setattr("deploy.verify.drawing_ahead.judged_runner", slow)
    with DrawingAhead(PATCHES, USUAL_TILE) as ahead:
        ahead.draw_with_all(build)
        assert running.wait(30)
        threading.Timer(0.05, go_on.set).start()
    assert len(runs) == 1
    assert list(ahead.outputs()) == [(build.manifest.float_artifact.path, PATCHES[0].name)]


def test_a_model_that_no_runtime_takes_is_left_to_the_comparison(small_build: Path) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    file = build.manifest.float_artifact
    good = build.models[file.path]
    broken = onnx.ModelProto()
    broken.CopyFrom(good)
    broken.graph.node[0].op_type = "NoSuchOperator"
    with DrawingAhead(PATCHES, USUAL_TILE) as ahead:
        ahead.draw_with(replace(file, path="broken"), broken)
        ahead.draw_with(replace(file, path="good"), good)
        finished(ahead, 3)
        assert {file for file, _ in ahead.outputs()} == {"good"}


def test_memory_is_bounded(small_build: Path) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    many = sample_patches("calibration", held_at_once(1) + 2).patches
    file = build.manifest.float_artifact
    with DrawingAhead(many, USUAL_TILE) as ahead:
        ahead.draw_with(file, build.models[file.path])
        finished(ahead, held_at_once(1))
    assert [name for _, name in ahead.outputs()] == [
        patch.name for patch in many[: held_at_once(1)]
    ]


def test_a_batch_is_drawn_in_one_inference(small_build: Path) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    file = build.manifest.float_artifact
    with DrawingAhead(PATCHES, Tile(batch=2)) as ahead:
        ahead.draw_with(file, build.models[file.path])
        finished(ahead, len(PATCHES))
    run = judged_runner(build.models[file.path], file.precision)
    for patch in PATCHES:
        np.testing.assert_array_equal(
            ahead.outputs()[file.path, patch.name], run(to_input(patch.load(), RGB))
        )


def test_no_network_is_run_where_a_file_cannot_be_used(
    small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / small_build.name
    copy.mkdir()
    for item in small_build.iterdir():
        (copy / item.name).write_bytes(item.read_bytes())
    (half,) = copy.glob("*-fp16.onnx")
    half.write_bytes(b"spoiled")

    loaded: list[object] = []
    monkeypatch.setattr(
        "deploy.verify.drawing_ahead.judged_runner", lambda model, _: loaded.append(model)
    )
    (verification,) = verify_tree(copy, images=None, weights=None, progress=Silent())
    assert not verification.passed
    assert not loaded
