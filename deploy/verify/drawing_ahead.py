"""Draw pictures in the time that other work leaves idle.

Planning and checking files keep one core busy for seconds; inferences take every core. A thread of
the lowest priority draws what will be compared, one inference after the other, and takes nothing
from the others. What it has drawn by the time that the comparison starts need not be drawn again.
"""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

import numpy as np
import onnx

from calib.arrays import Float32
from calib.chart import chart_picture
from calib.dataset import PatchRef
from calib.errors import EsrdeployError
from calib.images import to_input
from calib.tile import Tile
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.runtime.outputs import Drawn, held_at_once
from deploy.verify.chart import on_chart

_LOWEST_PRIORITY = 19


class DrawingAhead:
    """Draws the first pictures of a comparison while its context is open.

    A model that does not load or run is left to the comparison, which says what is wrong with it.

    Args:
        patches: the pictures of the comparison.
        tile: the fixed input of the models.
        chart: whether files are held against float on the test chart, which is drawn last then.
    """

    def __init__(self, patches: Sequence[PatchRef], tile: Tile, *, chart: bool = False) -> None:
        self._patches = tuple(patches[: held_at_once(tile.batch)])
        self._chart = (chart_picture(tile.size),) if chart else ()
        self._tile = tile
        self._waiting: SimpleQueue[tuple[Artifact, onnx.ModelProto, int] | None] = SimpleQueue()
        self._asked: set[str] = set()
        self._drawn: dict[tuple[str, str], Float32] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drawing ahead", daemon=True)

    def __enter__(self) -> "DrawingAhead":
        """Wait for models to draw with."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop once the present inference has ended."""
        self._stopped.set()
        self._waiting.put(None)
        self._thread.join()

    def draw_with(self, file: Artifact, model: onnx.ModelProto, *, skip: int = 0) -> None:
        """Draw with a model once those before it are through.

        Args:
            file: what it is; it is run the way it is judged.
            model: what it computes.
            skip: how many of the first pictures something else draws.
        """
        if file.path not in self._asked:
            self._asked.add(file.path)
            self._waiting.put((file, model, skip))

    def draw_with_all(self, build: Build) -> None:
        """Draw with every model of a build, the way its file is judged."""
        for item in build.manifest.models():
            if item.path in build.files:
                self.draw_with(item, build.files[item.path])

    def outputs(self) -> Drawn:
        """Stop, and return what was drawn."""
        self.__exit__()
        return dict(self._drawn)

    def _run(self) -> None:
        _yield_to_all_others()
        while (job := self._waiting.get()) is not None and not self._stopped.is_set():
            with suppress(EsrdeployError):
                self._draw_all(*job)

    def _draw_all(self, file: Artifact, model: onnx.ModelProto, skip: int) -> None:
        run = judged_runner(model, file.precision)  # its threads inherit the priority
        batch, channels = self._tile.batch, self._tile.channels
        patches = (*self._patches, *(self._chart if on_chart(file) else ()))
        for start in range(skip, len(patches), batch):
            if self._stopped.is_set():
                return
            group = patches[start : start + batch]
            drawn = run(np.concatenate([to_input(patch.load(), channels) for patch in group]))
            for patch, output in zip(group, np.split(drawn, len(group)), strict=True):
                self._drawn[file.path, patch.name] = output


def _yield_to_all_others() -> None:
    """Give the calling thread the lowest priority; Linux alone has one for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
