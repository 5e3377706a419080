"""Returns of a vendor as tests make them, and their judgement."""

from pathlib import Path

import numpy as np

from deploy.handoff.returned.judge import judge_returned
from deploy.handoff.returned.request import ReturnedRequest
from deploy.handoff.returned.verdict import Returned
from deploy.progress import Silent

Array = np.ndarray


def judge(folder: Path, bundle: Path, vendor: str = "openvino", **options: object) -> Returned:
    return judge_returned(ReturnedRequest(folder, bundle, vendor, **options), Silent())


def save_all(folder: Path, outputs: dict[str, Array], change=lambda array: array) -> None:
    for name, array in outputs.items():
        np.save(folder / f"{name}.npy", change(array))


def shifted(array: Array) -> Array:
    return np.roll(array, 1, axis=3)
