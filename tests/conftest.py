"""What the tests of every folder share: the DIV2K folder and real networks, made once a run."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from calib.colours import RGB
from calib.digest import sha256_bytes
from calib.images import to_input
from calib.sample import sample_patches
from deploy.artifacts.files import serialize
from deploy.network.export import export_float
from deploy.network.load import load_network
from tests.real_network import REAL_SIZE
from tools.small_network import write_small_network

# A pipe is as wide as this says, and xdist says 80 to its workers.
os.environ.pop("COLUMNS", None)
# A loaded machine is no reason for a test to fail.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest, so that no worker is left over with it alone."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def div2k() -> Path:
    """The DIV2K folder named by ESRDEPLOY_DIV2K."""
    folder = os.environ.get("ESRDEPLOY_DIV2K")
    if not folder:
        pytest.skip("ESRDEPLOY_DIV2K does not name a DIV2K folder")
    if not Path(folder).is_dir():
        pytest.skip(f"ESRDEPLOY_DIV2K names no folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function from a name and what fills a folder to this worker's own copy of that folder.

    The first worker that asks fills it, the others of the run wait and copy: what takes seconds to
    make is made once, and no worker can disturb another.
    """
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # which the workers of a run have in common

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        made = run / f"made-once-{name}"
        with FileLock(f"{made}.lock"):
            if not made.exists():
                unfinished = tmp_path_factory.mktemp(name)
                fill(unfinished)
                unfinished.rename(made)
        return Path(shutil.copytree(made, tmp_path_factory.mktemp(name), dirs_exist_ok=True))

    return make


@pytest.fixture(scope="session")
def encoded_once() -> Iterator[None]:
    """Encode each picture of a report once: reports of one build show the same ones.

    tests/deploy/report/test_pictures.py holds that equal pictures get equal URIs, without loss.
    """
    render = import_module("deploy.report.render")  # deploy.report has a function of that name
    picture_uri = render.picture_uri
    known: dict[str, str] = {}

    def encode(picture: np.ndarray) -> str:
        key = sha256_bytes(str(picture.shape).encode() + picture.tobytes())
        if key not in known:
            known[key] = picture_uri(picture)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "picture_uri", encode)
        yield


@pytest.fixture(scope="session")
def anime_float_path(made_once: Callable[..., Path]) -> Path:
    """The real x4plus-anime-6b as exported at REAL_SIZE, before its channels are equalized."""
    name = "x4plus-anime-6b-fp32.onnx"

    def export(folder: Path) -> None:
        network = load_network("x4plus-anime-6b", None)
        probe = to_input(sample_patches("verification", 1, REAL_SIZE).patches[0].load(), RGB)
        exported = export_float(network.architecture, network.checkpoint.tensors, [probe])
        (folder / name).write_bytes(serialize(exported.model))

    return made_once("anime", export) / name


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RRDBNet of one block that draws roughly the enlarged input, as a user's checkpoint.

    Its weights are small noise around the identity, so that activations have the sizes real
    ones have and the picture stays within [0, 1].
    """
    return write_small_network(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Fail whatever asks for another machine: every command of every test runs without one."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(asking: socket.socket, address: Any) -> None:
        if asking.family != socket.AF_UNIX and not _is_here(address[0]):
            raise AssertionError(f"asks for the network: {address}")
        connect(asking, address)

    def look_up_here(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None and not _is_here(host):
            raise AssertionError(f"asks for the network: {host}")
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        patch.setattr(socket, "getaddrinfo", look_up_here)
        yield


def _is_here(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name in {"localhost", "::1", "", socket.gethostname()} or name.startswith("127.")
