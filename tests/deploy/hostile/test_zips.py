"""Zips whose bytes were changed at random are refused by each reader in its own words."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from calib.errors import EsrdeployError, WeightsError
from calib.npy import read_npz
from deploy.handoff.bundle_zip import unpack
from deploy.network.weights.file_kinds import require_weights_file
from deploy.network.weights.read_pth import read_torch_file

CHANGED = 600


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name in ("manifest.json", "models/größe.bin", "golden/a.npy"):
            written.writestr(name, b"0123456789" * 20)
    return file.getvalue()


def checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"params": {"conv.weight": torch.ones(4, 3, 3, 3)}}, file)
    return file.getvalue()


def unpacked(content: bytes, folder: Path) -> None:
    (folder / "x.zip").write_bytes(content)
    unpack(folder / "x.zip", folder / "made")


READERS: dict[str, tuple[bytes, Callable[[bytes, Path], object], type[Exception]]] = {
    "a bundle": (archive(), unpacked, EsrdeployError),
    "arrays": (archive(), lambda content, _: read_npz(content), ValueError),
    "a checkpoint": (checkpoint(), lambda c, _: read_torch_file(c, "x.pth"), WeightsError),
    "weights": (checkpoint(), lambda c, at: require_weights_file(c, at / "x.pth"), WeightsError),
}


@pytest.mark.parametrize(("whole", "read", "refusal"), READERS.values(), ids=READERS)
def test_what_is_changed_at_random_is_read_or_refused(
    whole: bytes,
    read: Callable[[bytes, Path], object],
    refusal: type[Exception],
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    directory = whole.index(b"PK\x01\x02")
    refused: list[Exception] = []
    for number in range(CHANGED):
        content = bytearray(whole)
        # What the directory says is what readers believe: half of the changes are made there.
        start = directory if number % 2 else 0
        for place in random.integers(start, len(whole), random.integers(1, 4)):
            content[place] = random.integers(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            read(bytes(content), folder)
        except refusal as error:
            refused.append(error)
    assert len(refused) > CHANGED // 50
    assert [error for error in refused if isinstance(error, UnicodeError)] == []
    assert [error for error in refused if "\n" in str(error)] == []
