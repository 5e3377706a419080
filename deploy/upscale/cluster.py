"""Deal the pictures of a folder out to Dask workers, as calibration does its images.

A worker reads a picture, enlarges it and writes its file by itself, whole or not at all, so nothing
large passes between the machines: all of them see the same folders under the same paths. Each draws
one picture at a time, within the memory that one process takes. If a worker dies, its pictures are
dealt again; one whose workers die one after the other is drawn again by itself, for Dask blames all
that a worker held, and has failed where they die then too.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from calib.digest import sha256_bytes
from calib.errors import EsrdeployError, ImageError, UsageError, VerificationError
from calib.files import make_folder
from calib.workers import await_worker, deal_out, distributed, registered, workers_of
from deploy.runtime.backends import backend_version
from deploy.upscale.built_file import BuiltFile
from deploy.upscale.draw_picture import draw_picture, read_for
from deploy.upscale.files import PicturePair
from deploy.upscale.load import load_network
from deploy.upscale.request import UpscaleRequest
from deploy.upscale.sized_network import SizedNetwork


def draw_on_workers(
    request: UpscaleRequest, pairs: list[PicturePair], file: BuiltFile
) -> Iterator[tuple[PicturePair, EsrdeployError | None]]:
    """Yield each picture when it is drawn, or with the reason why it is not.

    Args:
        request: how pictures are drawn, and where the workers are.
        pairs: the pictures and the files to write.
        file: what enlarges them.

    Raises:
        UsageError: there are no workers, they run another version of the runtime, the scheduler
            is lost, or a file cannot be written.
    """
    plugin = DrawingPlugin(file, request)
    jobs = [(number, partial(_arguments, plugin.name, pair)) for number, pair in enumerate(pairs)]
    lost = UsageError(
        "the connection to the Dask scheduler was lost; run the same command again: it goes on "
        "from what is drawn"
    )
    expected = backend_version(file.backend)
    with workers_of(request.scheduler, request.workers) as client:
        await_worker(client)
        with registered(client, plugin, lost):
            suspects = []
            for number, future in deal_out(client, plugin.name, draw_on_worker, jobs):
                if _killed(future):
                    suspects.append(jobs[number])
                else:
                    yield pairs[number], _failure(future, expected, file)
            # Whichever was beside the one at fault: alone, each answers for itself.
            for job in suspects:
                alone = f"{plugin.name}-alone"
                for number, future in deal_out(client, alone, draw_on_worker, [job]):
                    yield pairs[number], _failure(future, expected, file)


def _killed(future: Any) -> bool:
    return isinstance(future.exception(), distributed.KilledWorker)


def _failure(future: Any, expected: str, file: BuiltFile) -> EsrdeployError | None:
    """Return why a picture is not drawn.

    Raises:
        UsageError: it was drawn by another version of the runtime, or cannot be written.
    """
    try:
        version = future.result()
    except (ImageError, VerificationError) as error:
        return error
    except distributed.KilledWorker as error:
        return ImageError(
            f"every worker that drew it died, {error.last_worker.address} last; see that worker's "
            "log, most likely its memory ran out"
        )
    _require_same(version, expected, file)
    return None


class DrawingPlugin(distributed.WorkerPlugin):  # type: ignore[misc]  # it has no types
    """A network on a worker: loaded when its first picture arrives, kept for the others.

    Args:
        file: of a build.
        request: how pictures are drawn.
    """

    def __init__(self, file: BuiltFile, request: UpscaleRequest) -> None:
        self.name = f"esrdeploy-{sha256_bytes(repr((file, request)).encode())}"
        self._file, self._request = replace(file, folder=file.folder.absolute()), request

    def setup(self, worker: Any) -> None:
        """Take the worker's threads for one picture at a time: one picture's memory, all cores."""
        self._threads: int = worker.state.nthreads
        self._one_at_a_time = threading.Lock()
        self._network: SizedNetwork | None = None

    def teardown(self, worker: Any) -> None:  # noqa: ARG002  # the interface's signature
        """Give the network's memory back."""
        self._network = None

    def draw(self, pair: PicturePair) -> str:
        """Enlarge a picture into its file, and return the version of the runtime that drew it."""
        with self._one_at_a_time:
            request = self._request
            if self._network is None:
                self._network = load_network(
                    self._file,
                    request.provider,
                    memory_mb=request.memory_mb,
                    own_tiles=request.own_tiles,
                    threads=self._threads,
                )
            photograph = read_for(self._network, pair.source)
            if isinstance(photograph, ImageError):
                raise photograph
            make_folder(pair.out.parent)
            draw_picture(request, pair, photograph, self._network, lambda: None)
            return backend_version(self._file.backend)


def draw_on_worker(plugin_name: str, source: Path, out: Path) -> str:
    """Run on a worker: enlarge a picture into its file."""
    plugin: DrawingPlugin = distributed.get_worker().plugins[plugin_name]
    return plugin.draw(PicturePair(source, out))


def _arguments(plugin_name: str, pair: PicturePair) -> tuple[str, Path, Path]:
    return plugin_name, pair.source.absolute(), pair.out.absolute()


def _require_same(version: str, expected: str, file: BuiltFile) -> None:
    if version != expected:
        raise UsageError(
            f"a worker runs {file.backend} {version}, this process {expected}; pictures of one "
            "folder need one version everywhere"
        )
