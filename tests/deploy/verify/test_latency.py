"""Files are timed in their runtimes, shortly, and what cannot be timed says why."""

import numpy as np

from deploy.artifacts.build_folder import Build, load_build
from deploy.artifacts.manifest import read_manifest
from deploy.progress import Silent
from deploy.runtime.runner import model_runner
from deploy.verify.latency import SHORT_S, Latency, latencies_text, measure_latencies, timed


def test_what_is_slow_is_run_once_and_what_is_short_three_times(monkeypatch) -> None:
    clock = iter(range(100))
    for step, runs in ((SHORT_S, 1), (SHORT_S / 2, 3)):
        count = 0

        def run(picture):
            nonlocal count
            count += 1
            return picture

        monkeypatch.setattr("time.perf_counter", lambda step=step: next(clock) * step)
        seconds, _ = timed(run, np.zeros((1, 3, 2, 2), np.float32))
        assert (seconds, count) == (step, runs)


def test_the_float_file_is_timed_beside_each_and_draws_what_it_draws(small_build) -> None:
    build: Build
    manifest = read_manifest(small_build / "manifest.json")
    build, failed = load_build(small_build, manifest, {item.path for item in manifest.models()})
    assert failed == ()
    picture = np.full((1, 3, 128, 128), 0.5, np.float32)
    found, drawn = measure_latencies(build, picture, Silent())
    assert [item.artifact for item in found] == ["small-fp32.onnx", "small-int8-openvino.onnx"]
    for item in found:
        assert (item.seconds is None) == bool(item.reason)
        if item.seconds is not None:
            assert item.seconds > 0
            assert item.times_as_fast is not None
    expected = model_runner(build.models["small-fp32.onnx"], optimized=True)(picture)
    np.testing.assert_array_equal(drawn, expected)


def test_a_row_gives_milliseconds_or_the_reason() -> None:
    rows = latencies_text(
        [Latency("a", "ort 1", 0.5, 1.0), Latency("b", reason="no runtime of qnn here")]
    )
    assert rows == [
        ["a", "ort 1", "500", "2.00"],
        ["b", "not run: no runtime of qnn here", "-", "-"],
    ]
