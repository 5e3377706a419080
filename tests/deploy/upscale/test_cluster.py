"""Pictures on Dask workers: the bytes of one process, whoever dies on the way."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from calib.errors import EsrdeployError, UsageError
from deploy.upscale.built_file import find_file
from deploy.upscale.files import PicturePair, paired_files
from deploy.upscale.request import UpscaleRequest
from tests.deploy.builds import run
from tests.deploy.upscale.conftest import image, photo

dask = pytest.importorskip("dask", reason="needs the extra cluster")
from deploy.upscale import cluster  # noqa: E402

# Dask's own shutdown leaves a socket to the garbage collector now and then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

OPTIONS = ("--backend", "ort", "--builds")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_two_workers_draw_the_same_bytes(built: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "bad.png").write_bytes((pictures / "a.png").read_bytes()[:400])
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert run("upscale", pictures, alone, *OPTIONS, built).exit_code == 1
    result = run("upscale", pictures, together, *OPTIONS, built, "--workers", 2)
    assert result.exit_code == 1, result.output
    assert "bad.png: is no whole picture" in result.stderr.splitlines()[-1]
    assert "2 drawn with tiny-int8-ort.onnx, 1 failed" in result.stdout
    assert files(together) == files(alone) != {}


class Killing(cluster.DrawingPlugin):
    """Dies of one picture."""

    def draw(self, pair: PicturePair) -> str:
        if pair.source.stem == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().draw(pair)


def test_a_picture_that_kills_workers_has_failed_and_the_others_are_drawn(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "photos", tmp_path / "out"
    source.mkdir()
    for number, name in enumerate(("beside", "deadly", "z")):
        image(photo(16 + number, 20)).pngsave(str(source / f"{name}.png"))
    monkeypatch.setattr(cluster, "DrawingPlugin", Killing)
    request = UpscaleRequest(source, out, workers=1)
    pairs = list(paired_files(source, out).pairs)
    found: dict[str, EsrdeployError | None] = {}
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        for pair, failure in cluster.draw_on_workers(
            request, pairs, find_file(built, backend="ort")
        ):
            found[pair.source.stem] = failure
    assert {name for name, failure in found.items() if failure is None} == {"beside", "z"}
    assert "every worker that drew it died" in str(found["deadly"])
    assert set(files(out)) == {"beside.png", "z.png"}


def test_an_address_where_nothing_answers_is_refused(
    built: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calib.workers.PATIENCE_S", 1)
    arguments = ["upscale", pictures, tmp_path / "out", *OPTIONS, built]
    result = run(*arguments, "--scheduler", "tcp://127.0.0.1:9")
    assert result.exit_code == 2
    assert "no Dask scheduler answers" in result.stderr.splitlines()[-1]


def test_a_worker_of_another_version_is_refused(built: Path) -> None:
    file = find_file(built, backend="ort")
    with pytest.raises(UsageError, match=r"a worker runs ort 0\.1, this process 0\.2"):
        cluster._failure(SimpleNamespace(result=lambda: "0.1"), "0.2", file)
