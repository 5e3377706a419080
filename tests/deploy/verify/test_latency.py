"""Files are timed in their runtimes, shortly, and what cannot be timed says why."""

import numpy as np
import pytest

from calib.tile import Size
from deploy.artifacts.build_folder import Build, load_build
from deploy.artifacts.manifest import read_manifest
from deploy.cli.measured import show_speed
from deploy.progress import Silent
from deploy.runtime.backends import is_installed
from deploy.runtime.runner import model_runner
from deploy.verify.judges import sample_judges
from deploy.verify.latency import LONG_S, SHORT_S, Latency, latencies_text, measure_latencies, timed
from deploy.verify.verification import Verification


def test_what_is_slow_is_run_once_and_what_is_short_three_times(monkeypatch) -> None:
    clock = iter(range(100))
    for step, runs in ((LONG_S, 1), (SHORT_S, 2), (SHORT_S / 2, 3)):
        count = 0

        def run(picture):
            nonlocal count
            count += 1
            return picture

        monkeypatch.setattr("time.perf_counter", lambda step=step: next(clock) * step)
        seconds, _ = timed(run, np.zeros((1, 3, 2, 2), np.float32))
        assert (seconds, count) == ((step,) * runs, runs)


def test_the_float_file_is_timed_beside_each_and_draws_what_it_draws(small_build) -> None:
    build: Build
    manifest = read_manifest(small_build / "manifest.json")
    build, failed = load_build(small_build, manifest, {item.path for item in manifest.models()})
    assert failed == ()
    picture = np.full((1, 3, 128, 128), 0.5, np.float32)
    found, drawn = measure_latencies(build, picture, Silent())
    runtimes = {item.artifact: set() for item in found if item.runs}
    for item in found:
        if item.runs:
            runtimes[item.artifact].add(item.runtime.partition(" ")[0])
    beside = {"openvino"} if is_installed("openvino") else set()
    assert runtimes["small-fp32.onnx"] == {"ort"} | beside  # what each ratio is of
    assert runtimes.get("small-int8-openvino.onnx", set()) == beside
    assert found[-1].artifact == "small-int8-openvino.onnx"
    for item in found:
        assert bool(item.runs) != bool(item.reason)
        if item.runs:
            assert min(item.runs) > 0
            least, most = item.times_as_fast_between or (0, 0)
            assert item.times_as_fast is not None
            assert least <= item.times_as_fast <= most
    expected = model_runner(build.models["small-fp32.onnx"], optimized=True)(picture)
    np.testing.assert_array_equal(drawn, expected)


def test_a_row_gives_milliseconds_with_their_spread_or_the_reason() -> None:
    float_runs = (1.0, 1.5, 1.2)
    rows = latencies_text(
        [
            Latency("float", "ort 1", float_runs, float_runs),
            Latency("a", "ort 1", (0.5, 0.75), float_runs),
            Latency("slow", "ort 1", (8.0,), (9.0,)),
            Latency("b", reason="no runtime of qnn here"),
        ]
    )
    assert rows == [
        ["float", "ort 1", "1000 to 1500", "1"],
        ["a", "ort 1", "500 to 750", "2.00 (1.33 to 3.00)"],
        ["slow", "ort 1", "8000 (one run)", "1.12 (1.12 to 1.12)"],
        ["b", "not run: no runtime of qnn here", "-", "-"],
    ]


@pytest.mark.parametrize(
    ("batch", "words"), [(1, "one inference of 1 picture here"), (4, "of 4 pictures at once here")]
)
def test_the_screen_says_of_how_many_pictures_and_where_more_is_measured(
    batch: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    latencies = (Latency("float", "ort 1", (1.0, 1.2), (1.0, 1.2)),)
    judges = sample_judges(Size())
    show_speed(Verification("tiny", judges, (), latencies=latencies, batch=batch))
    shown = " ".join(capsys.readouterr().out.split())
    assert words in shown
    assert "'esrdeploy bench' measures by turns" in shown
