"""Score a model on pictures in QDQ reference semantics, and keep the scores beside its file."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from calib.arrays import Float32
from calib.digest import sha256_bytes, sha256_file
from deploy.runtime.runner import model_runner


class Shown(Protocol):
    """What a model is scored on: a name, and float32 ``[1,3,H,W]`` that it is shown."""

    @property
    def name(self) -> str:
        """Unique among what one model is scored on."""
        ...

    @property
    def network_input(self) -> Float32:
        """What the model is shown."""
        ...


Picture = TypeVar("Picture", bound=Shown)
Score = TypeVar("Score")


def kept_scores(
    path: Path,
    kind: str,
    pictures: Sequence[Picture],
    score: Callable[..., Score],
    judge: Callable[[Picture, Float32], Score],
) -> list[Score]:
    """Return a model's score on each picture; one that is kept is not measured again.

    Args:
        path: the model.
        kind: names the file of the scores.
        pictures: what it is scored on.
        score: makes a score of the values that are kept of one.
        judge: compares what the model drew, clipped to [0, 1], with what it should have drawn.
    """
    record = path.with_suffix(f".{kind}.json")
    digest = sha256_file(path)
    known: dict[str, Any] = json.loads(record.read_text()) if record.is_file() else {}
    rows: dict[str, Any] = known["rows"] if known.get("sha256") == digest else {}
    shown = {picture.name: sha256_bytes(picture.network_input.tobytes()) for picture in pictures}
    missing = [p for p in pictures if rows.get(p.name, {}).get("shown") != shown[p.name]]
    run = model_runner(path, optimized=False) if missing else None
    for number, picture in enumerate(missing, 1):
        assert run is not None  # something is missing
        output = np.clip(run(picture.network_input), 0.0, 1.0)
        found: Any = judge(picture, output)
        rows[picture.name] = {"shown": shown[picture.name], "score": asdict(found)}
        print(f"{path.name}: {number}/{len(missing)} {picture.name}", file=sys.stderr, flush=True)
        record.write_text(json.dumps({"sha256": digest, "rows": rows}, indent=1))
    return [score(**rows[picture.name]["score"]) for picture in pictures]
