"""Calibration on real Dask schedulers and worker processes, one of them killed on the way."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from calib.calibrate import calibrate
from calib.dataset import PatchSet
from calib.errors import CalibrationError, UsageError
from calib.sample import sample_patches
from calib.table import CalibrationTable
from quant.analysis.tensor_distributions import observed_tensors

distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
from calib.cluster import calibrate_on_cluster, worker_result  # noqa: E402
from calib.workers import connected, local_cluster  # noqa: E402
from tests.real_network import REAL_SIZE  # noqa: E402

MakePatches = Callable[[int], PatchSet]
WANTED = ("input", "act1", "act2", "joined", "trunk", "output")

# Dask's own shutdown leaves a socket to the garbage collector now and then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def saved(table: CalibrationTable, folder: Path) -> list[bytes]:
    folder.mkdir()
    return [path.read_bytes() for path in table.save(folder / "calibration.json")]


def start(*command: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10 s",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def stopped_at_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler, then workers, as an administrator starts them; no nanny restarts a worker."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        scheduler = start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
        )
        stack.enter_context(stopped_at_end(scheduler))
        processes = [
            stack.enter_context(
                stopped_at_end(
                    start(
                        "dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                        "--memory-limit", "0",
                    )
                )
            )
            for _ in range(workers)
        ]  # fmt: skip
        yield address, [scheduler, *processes]


def test_two_local_workers_make_the_same_bytes(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    patches = noise_patches(5)
    alone = saved(calibrate(dense_block, WANTED, patches), tmp_path / "alone")
    told: list[tuple[int, int]] = []
    with local_cluster(2) as client:
        assert len(client.nthreads()) == 2
        together = calibrate_on_cluster(
            dense_block, WANTED, patches, client, on_image=lambda *at: told.append(at)
        )
    assert saved(together, tmp_path / "together") == alone
    assert told == [(done, 5) for done in range(1, 6)]


@pytest.mark.slow
def test_two_local_workers_make_the_same_bytes_of_a_real_network(
    anime_float_path: Path, tmp_path: Path
) -> None:
    model = onnx.load(anime_float_path)
    wanted, patches = observed_tensors(model), sample_patches("calibration", 3, REAL_SIZE)
    alone = saved(calibrate(model, wanted, patches), tmp_path / "alone")
    with local_cluster(2) as client:
        together = calibrate_on_cluster(model, wanted, patches, client)
    assert saved(together, tmp_path / "together") == alone


def test_a_killed_worker_costs_only_its_images(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    patches = noise_patches(24)
    alone = saved(calibrate(dense_block, WANTED, patches), tmp_path / "alone")
    told: list[int] = []
    with cluster(2) as (address, processes), connected(address) as client:
        client.wait_for_workers(2, timeout=60)

        def kill_one(done: int, total: int) -> None:
            told.append(done)
            if done == 4:
                processes[1].send_signal(signal.SIGKILL)
                assert processes[1].wait() == -signal.SIGKILL

        together = calibrate_on_cluster(dense_block, WANTED, patches, client, on_image=kill_one)
        assert len(client.nthreads()) == 1
    assert told == list(range(1, 25))
    assert saved(together, tmp_path / "together") == alone


def test_a_run_begun_alone_goes_on_with_workers(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, tmp_path: Path
) -> None:
    patches, journal = noise_patches(4), tmp_path / "calibration.journal"

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(dense_block, WANTED, patches, journal=journal, on_image=interrupt)
    told: list[int] = []
    with local_cluster(1) as client:
        together = calibrate_on_cluster(
            dense_block, WANTED, patches, client,
            journal=journal, on_image=lambda done, _: told.append(done),
        )  # fmt: skip
        assert told == [2, 3, 4]
        again = calibrate_on_cluster(dense_block, WANTED, patches, client, journal=journal)
        assert again.digest == together.digest
    alone = calibrate(dense_block, WANTED, patches)
    assert saved(together, tmp_path / "together") == saved(alone, tmp_path / "alone")


def test_what_an_image_does_to_a_worker_is_told_here(
    dense_block: onnx.ModelProto, noise_patches: MakePatches
) -> None:
    spoiled = onnx.ModelProto()
    spoiled.CopyFrom(dense_block)
    weights = next(t for t in spoiled.graph.initializer if t.name == "grow1_w")
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0, 0, 0, 0] = np.nan
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "grow1_w"))
    with (
        local_cluster(1) as client,
        pytest.raises(CalibrationError, match=r"'act1' on image 'noise-\d'.*NaN"),
    ):
        calibrate_on_cluster(spoiled, WANTED, noise_patches(2), client)


def test_a_scheduler_without_workers_is_refused(
    dense_block: onnx.ModelProto, noise_patches: MakePatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        connected(empty.scheduler_address) as client,
    ):
        monkeypatch.setattr("calib.workers.PATIENCE_S", 0.5)
        with pytest.raises(UsageError, match="has had no worker"):
            calibrate_on_cluster(dense_block, WANTED, noise_patches(1), client)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_an_address_where_nothing_answers_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calib.workers.PATIENCE_S", 1)
    with pytest.raises(UsageError, match="no Dask scheduler answers"), connected(address):
        pass


def test_an_image_that_takes_workers_down_is_named() -> None:
    class Doomed:
        def result(self) -> None:
            raise distributed.KilledWorker("task", SimpleNamespace(address="tcp://a:1"), 3)

    with pytest.raises(CalibrationError, match=r"ran image 'big\.png' died, tcp://a:1 last"):
        worker_result(Doomed(), "big.png")


def test_no_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="0 workers"), local_cluster(0):
        pass


def test_a_missing_extra_says_what_to_install() -> None:
    code = "import sys; sys.modules['distributed'] = None; import calib.cluster"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert "pip install 'distributed>=" in done.stderr
    assert "calib.errors.UsageError" in done.stderr


def test_a_lost_scheduler_is_told_and_the_journal_kept(
    dense_block: onnx.ModelProto,
    noise_patches: MakePatches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calib.workers.PATIENCE_S", 5)
    patches, journal = noise_patches(8), tmp_path / "calibration.journal"
    with cluster(1) as (address, processes), connected(address) as client:

        def kill_scheduler(done: int, total: int) -> None:
            if done == 2:
                processes[0].kill()

        with pytest.raises(CalibrationError, match="scheduler was lost"):
            calibrate_on_cluster(
                dense_block, WANTED, patches, client, journal=journal, on_image=kill_scheduler
            )
    table = calibrate(dense_block, WANTED, patches, journal=journal)
    assert table.digest == calibrate(dense_block, WANTED, patches).digest
