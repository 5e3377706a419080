"""The pass over the images: exact, resumable after SIGKILL, flat in memory."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.calibrate import calibrate
from calib.colours import RGB
from calib.dataset import PatchSet
from calib.errors import CalibrationError, GraphError, UsageError
from calib.graph import network_digest
from calib.images import to_input, write_image
from calib.observe import SegmentedGraph
from calib.sample import sample_patches
from calib.table import CalibrationTable
from quant.analysis.tensor_distributions import observed_tensors
from tests.real_network import REAL_SIZE

MakePatches = Callable[[int], PatchSet]
WANTED = ("input", "act1", "act2", "joined", "trunk", "output")


def saved(table: CalibrationTable, folder: Path) -> list[bytes]:
    folder.mkdir()
    return [path.read_bytes() for path in table.save(folder / "calibration.json")]


def test_a_table_says_what_it_was_made_from(
    dense_block: onnx.ModelProto, noise_patches: MakePatches
) -> None:
    patches = noise_patches(2)
    table = calibrate(dense_block, WANTED, patches)
    table.require_network(network_digest(dense_block))
    assert table.images == patches.record()
    assert list(table.tensors) == list(WANTED)


def test_statistics_are_those_of_all_images(
    dense_block: onnx.ModelProto, noise_patches: MakePatches
) -> None:
    patches = noise_patches(3)
    table = calibrate(dense_block, WANTED, patches)
    graph = SegmentedGraph(dense_block, WANTED)
    runs = [
        {
            k: v
            for made in graph.run({"input": to_input(patch.load(), RGB)})
            for k, v in made.items()
        }
        for patch in patches.patches
    ]
    for name in WANTED:
        values = np.concatenate([run[name] for run in runs]).astype(np.float64)
        found = table.tensors[name]
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        expected = np.percentile(values, [0.1, 99.9])
        np.testing.assert_allclose(found.range(99.9), expected, atol=found.histogram.width)
        np.testing.assert_allclose(found.channel_mean, values.mean(axis=(0, 2, 3)), atol=1e-9)
        np.testing.assert_array_equal(found.channels.abs_max, np.abs(values).max(axis=(0, 2, 3)))


def test_threads_do_not_change_a_byte(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    patches = noise_patches(2)
    one = saved(calibrate(dense_block, WANTED, patches, threads=1), tmp_path / "one")
    two = saved(calibrate(dense_block, WANTED, patches, threads=2), tmp_path / "two")
    assert one == two


def test_progress_counts_every_image(
    dense_block: onnx.ModelProto, noise_patches: MakePatches
) -> None:
    told: list[tuple[int, int]] = []
    calibrate(dense_block, ["act1"], noise_patches(3), on_image=lambda *at: told.append(at))
    assert told == [(1, 3), (2, 3), (3, 3)]


def interrupt_after(count: int) -> Callable[[int, int], None]:
    def on_image(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return on_image


def test_a_run_goes_on_from_the_last_finished_image(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    patches, journal = noise_patches(4), tmp_path / "calibration.journal"
    with pytest.raises(KeyboardInterrupt):
        calibrate(dense_block, WANTED, patches, journal=journal, on_image=interrupt_after(2))
    told: list[tuple[int, int]] = []
    table = calibrate(
        dense_block, WANTED, patches, journal=journal, on_image=lambda *at: told.append(at)
    )
    assert told == [(2, 4), (3, 4), (4, 4)]
    whole = calibrate(dense_block, WANTED, patches)
    assert saved(table, tmp_path / "resumed") == saved(whole, tmp_path / "whole")


def test_a_finished_journal_needs_no_inference(
    dense_block: onnx.ModelProto,
    noise_patches: MakePatches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patches, journal = noise_patches(2), tmp_path / "calibration.journal"
    first = calibrate(dense_block, WANTED, patches, journal=journal)
    monkeypatch.delattr("calib.calibrate.SegmentedGraph")
    assert calibrate(dense_block, WANTED, patches, journal=journal).digest == first.digest


def test_journals_of_other_jobs_are_not_mixed_in(
    dense_block: onnx.ModelProto,
    noise_patches: MakePatches,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = tmp_path / "calibration.journal"
    calibrate(dense_block, WANTED, noise_patches(2), journal=journal)
    other = onnx.ModelProto()
    other.CopyFrom(dense_block)
    other.graph.name = "other"
    for job, reason in (
        ((dense_block, WANTED, noise_patches(3)), "images"),
        ((dense_block, WANTED[1:], noise_patches(3)), "tensors"),
        ((other, WANTED[1:], noise_patches(3)), "graph"),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            table = calibrate(*job, journal=journal)
        assert f"made with {reason}" in caplog.text
        assert table.digest == calibrate(*job).digest


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"{}"], ids=["empty", "torn", "json"])
def test_a_damaged_journal_starts_anew(
    dense_block: onnx.ModelProto,
    noise_patches: MakePatches,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
) -> None:
    journal = tmp_path / "calibration.journal"
    journal.write_bytes(content)
    patches = noise_patches(1)
    table = calibrate(dense_block, WANTED, patches, journal=journal)
    assert "starting anew" in caplog.text
    assert table.digest == calibrate(dense_block, WANTED, patches).digest


JOB = """
import sys, time
from pathlib import Path
import onnx
from calib.calibrate import calibrate
from calib.choose_patches import folder_patches

folder, wanted = Path(sys.argv[1]), sys.argv[2].split(",")
last = int(sys.argv[3])  # image, behind which the job waits to be killed

def told(done, total):
    print(done, flush=True)
    if done >= last:
        time.sleep(3600)

patches = folder_patches(folder / "images", mode="whole", count=None, seed=0)
table = calibrate(
    onnx.load(folder / "model.onnx"), wanted, patches, journal=folder / "calibration.journal",
    on_image=told,
)
table.save(folder / "calibration.json")
"""


def test_sigkill_at_any_moment_costs_no_byte(dense_block: onnx.ModelProto, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    for number in range(12):
        picture = rng.integers(0, 20 * number + 20, (128, 128, 3), dtype=np.uint8)
        write_image(tmp_path / "images" / f"{number}.png", picture)
    onnx.save(dense_block, tmp_path / "model.onnx")

    def start(last: int = 99) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", JOB, str(tmp_path), ",".join(WANTED), str(last)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    finished = 0
    for delay_s in (0.0, 0.013, 0.031):
        with start(11) as killed:
            assert killed.stdout is not None
            if finished:  # a start that finds a journal first says how far it is
                assert int(killed.stdout.readline()) >= finished
            finished = [int(killed.stdout.readline()) for _ in range(2)][-1]
            time.sleep(delay_s)  # into a later image, or the writing of its journal
            killed.send_signal(signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "calibration.json").exists()
    with start() as last:
        told = [int(line) for line in last.communicate()[0].split()]
    assert last.returncode == 0
    assert told == list(range(told[0], 13))
    assert told[0] >= finished >= 6

    resumed = [(tmp_path / f"calibration.{end}").read_bytes() for end in ("json", "npz")]
    (tmp_path / "calibration.journal").unlink()
    with start() as whole:
        whole.communicate()
    assert [(tmp_path / f"calibration.{end}").read_bytes() for end in ("json", "npz")] == resumed


MEMORY = """
import resource, sys
import numpy as np
import onnx
from calib.calibrate import calibrate
from calib.dataset import PatchRef, PatchSet
from calib.views import WholeView

class Noise:
    def __init__(self, seed):
        self.name = f"noise-{seed}"
        self.seed = seed
    def read(self):
        return np.random.default_rng(self.seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)

count = int(sys.argv[2])
refs = tuple(PatchRef.describe(n, WholeView(), n.read()) for n in map(Noise, range(count)))
patches = PatchSet("folder", "whole", 0, count, refs)
calibrate(onnx.load(sys.argv[1]), sys.argv[3].split(","), patches)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_hundreds_of_images_need_no_more_memory_than_eight(
    dense_block: onnx.ModelProto, tmp_path: Path
) -> None:
    onnx.save(dense_block, tmp_path / "model.onnx")

    def peak_kib(count: int) -> int:
        command = [sys.executable, "-c", MEMORY, str(tmp_path / "model.onnx"), str(count)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [*command, ",".join(WANTED)], check=True, capture_output=True, env=environment
        )
        return int(done.stdout)

    assert peak_kib(400) <= 1.05 * peak_kib(8)


@pytest.mark.slow
def test_percentiles_of_real_activations_are_within_a_thousandth(anime_float_path: Path) -> None:
    model = onnx.load(anime_float_path)
    patches = sample_patches("calibration", 2, REAL_SIZE)
    wanted = observed_tensors(model)[::8]
    table = calibrate(model, wanted, patches)
    graph = SegmentedGraph(model, wanted)
    percents = (0.001, 0.01, 1, 50, 99, 99.99, 99.999)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for patch in patches.patches:
        for appeared in graph.run({"input": to_input(patch.load(), RGB)}):
            for name, array in appeared.items():
                seen[name].append(array.ravel())
    for name, arrays in seen.items():
        histogram = table.tensors[name].histogram
        exact = np.percentile(np.concatenate(arrays).astype(np.float64), percents)
        found = [histogram.percentile(percent) for percent in percents]
        spread = histogram.maximum - histogram.minimum
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-3 * spread)


def test_no_images_are_refused(dense_block: onnx.ModelProto) -> None:
    with pytest.raises(CalibrationError, match="0 of 0 images"):
        calibrate(dense_block, WANTED, PatchSet("folder", "whole", 0, 0, ()))


def test_a_graph_of_another_input_is_refused(noise_patches: MakePatches) -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1,3,64,64] x) => (float[1,3,64,64] y)'
    model = onnx.parser.parse_model(f"{text} {{ y = Relu(x) }}")
    with pytest.raises(GraphError, match=r"input \(1, 3, 128, 128\), the graph takes .*64"):
        calibrate(model, ["y"], noise_patches(1))


def test_a_journal_that_cannot_be_written_is_named(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        calibrate(dense_block, ["act1"], noise_patches(1), journal=tmp_path / "absent" / "journal")
