"""Every ``esrdeploy`` line of every page of the site is run in the order of the page.

A tiny network takes the place of real ones; the tutorial is run with the real animevideov3, when
the site is built. All of it takes minutes: ``make site`` runs these tests.
"""

import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from calib.images import resize_area
from deploy.artifacts.templates import data_uri
from deploy.simulate.toolchains import toolchains
from tests.pages import PAGES, TUTORIAL, commands_of, furnish, ran
from tests.simulated import put_in_place, stand_in

pytest.importorskip("mkdocs", reason="'make site' installs what the site is built with")

NOT_RUN = {
    "esrdeploy build --weights 2x-span.safetensors --calib photos/ --target qualcomm": (
        "needs spandrel; tests/deploy/test_spandrel_networks.py does it"
    ),
    "esrdeploy verify --weights 2x-span.safetensors dist/2x-span": "of the build before it",
    "esrdeploy eval --data OUT --shape source --critic net_d_400000.pth": (
        "of pairs that no build was calibrated on; tests/deploy/evaluate/test_critic.py does it"
    ),
    "esrdeploy upscale clip.mp4 large.mkv": "needs a clip; tests/deploy/upscale/video makes them",
    "esrdeploy bench --model x4plus-anime-6b --tile 128 --tile 256 --threads 1 --threads 2": (
        "figures of a real network, run by hand"
    ),
    "esrdeploy build --model x4plus-anime-6b --calib-table TABLE --min-parity 43 "
    "--allow-mostly-promoted": "a figure of a benchmark, run by hand",
    "esrdeploy build --model animevideov3 --calib HALF --mode whole": (
        "a figure of halves of photographs that are no part of the project, run by hand"
    ),
    "esrdeploy build --model animevideov3 --calib DIV2K --target qnn --target qnn-w8a16": (
        "of pictures of DIV2K that are not scored on, run by hand"
    ),
    "esrdeploy build --model x4plus-anime-6b --precision int8 --calib DIV2K --target openvino "
    "--target qnn --target qnn-w8a16 --target tensorrt-10": (
        "of pictures of DIV2K that are not scored on, run by hand"
    ),
    "esrdeploy compare OTHER_HALF --model animevideov3": "of the build before it",
}
FURNISHED = "esrdeploy build --weights my-finetune.pth"
COMMANDS = {page: commands for page in PAGES if (commands := commands_of(page))}


@pytest.fixture(scope="module")
def furnished(
    tiny_weights: Path, made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with what pages speak of, and with a build that most of them go on from."""

    def fill(folder: Path) -> None:
        furnish(folder, tiny_weights)
        cv2.imwrite(str(folder / "photo.jpg"), resize_area(data.astronaut(), 90, 60))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert ran(FURNISHED).code == 0
            shutil.copy("dist/my-finetune/my-finetune-fp32.onnx", "2x-anime.onnx")

    with pytest.MonkeyPatch.context() as patch:
        render = import_module("deploy.report.render")  # deploy.report has a function of that name
        patch.setattr(render, "picture_uri", quick_uri)
        yield made_once("furnished", fill)


def quick_uri(picture: np.ndarray) -> str:
    """Return a picture for a report that nobody looks at: encoding it takes most of the time."""
    return data_uri(cv2.imencode(".jpg", picture)[1].tobytes(), "image/jpeg")


@pytest.fixture
def place(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, for the commands of one page."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in toolchains():
        put_in_place(monkeypatch, tmp_path / "environments", stand_in(tmp_path, name))
    return tmp_path


@pytest.mark.parametrize("page", sorted({*COMMANDS} - {TUTORIAL}))
def test_the_commands_of_a_page_run(page: str, place: Path) -> None:
    for command in COMMANDS[page]:
        if command in NOT_RUN or command == FURNISHED:
            continue
        result = ran(command)
        assert result.code == 0, f"{page}: {command}\n{result.output}\n{result.error!r}"


def test_what_is_not_run_stands_on_a_page() -> None:
    assert {*NOT_RUN} <= {command for commands in COMMANDS.values() for command in commands}
