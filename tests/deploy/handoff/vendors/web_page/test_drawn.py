"""What a headless Chromium makes of pictures that are dropped on the page.

A stand-in takes the place of onnxruntime-web (conftest.py). The real one enlarges where
``ESRDEPLOY_TOOLCHAINS`` is set.
"""

import os
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.metrics.psnr_ssim import parity_db
from deploy.simulate.npm import fetch_npm_package
from deploy.simulate.toolchains import find_toolchain
from tests.browsing import Browser
from tests.deploy.builds import run
from tests.deploy.handoff.vendors.web_page.showing import (
    DESKTOP,
    RNG,
    SCALE,
    assert_same,
    canvas,
    enlarged,
    serving,
    settled,
)


@pytest.mark.parametrize("size", [(128, 128), (1, 1), (40, 24), (129, 131), (200, 333)], ids=str)
def test_what_is_dropped_is_drawn_as_the_project_draws_it(
    page: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    picture = RNG.integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    page.drop(tmp_path / "photo.png", x=300, y=200)
    said = settled(page, "done", "failed")
    height, width = (side * SCALE for side in size)
    assert f"photo.png: {size[1]} x {size[0]} pixels enlarged to {width} x {height} in " in said
    found = canvas(page)
    assert_same(found[..., :3], enlarged(picture[..., ::-1])[..., ::-1])
    assert found[..., 3].min() == 255
    assert page.complaints() == []
    own = page.evaluate("location.origin")
    assert all(url.startswith((own, "blob:")) for url in page.requests())
    assert page.evaluate("crossOriginIsolated") is True


def test_gray_stays_gray_and_a_flat_picture_flat(page: Browser, tmp_path: Path) -> None:
    gray = RNG.integers(0, 256, (60, 50, 1), np.uint8)
    cv2.imwrite(str(tmp_path / "gray.png"), gray)
    page.drop(tmp_path / "gray.png", x=300, y=200)
    settled(page, "done", "failed")
    assert_same(canvas(page)[..., :3], enlarged(gray).repeat(3, axis=2))
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((60, 50), 77, np.uint8))
    page.choose("#file", tmp_path / "flat.png")
    settled(page, "working", "done")
    settled(page, "done", "failed")
    assert (canvas(page)[..., :3] == 77).all()


def test_alpha_is_enlarged_apart(page: Browser, tmp_path: Path) -> None:
    picture = np.full((140, 150, 4), 255, np.uint8)
    picture[..., :3] = RNG.integers(0, 256, 3)
    picture[..., 3] = np.linspace(0, 255, 150).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "clear.png"), picture)
    page.drop(tmp_path / "clear.png", x=300, y=200)
    settled(page, "done", "failed")
    found = canvas(page)
    assert_same(found[..., 3:], enlarged(picture[..., 3:]))
    seen = found[..., 3] > 200
    expected = enlarged(picture[..., 2::-1])[..., ::-1]
    assert np.abs(found[..., :3][seen].astype(int) - expected[seen]).max() <= 3


def test_a_photograph_is_turned_upright(page: Browser, tmp_path: Path) -> None:
    _, jpeg = cv2.imencode(".jpg", np.zeros((40, 70, 3), np.uint8))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    content = jpeg.tobytes()
    (tmp_path / "turned.jpg").write_bytes(content[:2] + segment + content[2:])
    page.drop(tmp_path / "turned.jpg", x=300, y=200)
    assert "40 x 70 pixels enlarged to 80 x 140" in settled(page, "done", "failed")
    assert canvas(page).shape[:2] == (140, 80)


def test_another_network_is_chosen_and_the_picture_saved(
    page: Browser, tmp_path: Path, folder: Path
) -> None:
    picture = RNG.integers(0, 256, (50, 60, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.b.png"), picture)
    page.evaluate("document.querySelectorAll('input[name=network]')[1].click()")
    page.choose("#file", tmp_path / "a.b.png")
    settled(page, "done", "failed")
    assert_same(canvas(page)[..., :3], enlarged(picture[..., ::-1], 0.5)[..., ::-1])
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    page.evaluate("document.getElementById('save').click()")
    saved = tmp_path / "saved" / f"a.b-x{SCALE}.png"
    deadline = time.monotonic() + 20
    while not saved.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert_same(cv2.imread(str(saved)), canvas(page)[..., :3])


def test_it_is_stopped_and_goes_on_with_the_next(page: Browser, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), RNG.integers(0, 256, (1500, 1500, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), RNG.integers(0, 256, (20, 20, 3), np.uint8))
    page.drop(tmp_path / "large.png", x=300, y=200)
    settled(page, "working")
    page.evaluate("document.getElementById('stop').click()")
    assert settled(page, "stopped") == "large.png: stopped."
    page.drop(tmp_path / "large.png", x=300, y=200)
    settled(page, "working")
    page.drop(tmp_path / "small.png", x=300, y=200)
    assert "small.png: 20 x 20 pixels" in settled(page, "done", "failed")
    assert canvas(page).shape[:2] == (40, 40)


@pytest.mark.skipif("ESRDEPLOY_TOOLCHAINS" not in os.environ, reason="fetches onnxruntime-web")
@pytest.mark.parametrize("number", [0, 1])
def test_the_real_runtime_draws_what_upscale_draws(
    browser: Browser, unpacked: Path, small_build: Path, tmp_path: Path, number: int
) -> None:
    root = tmp_path / "real"
    for name in ("web", "models"):
        shutil.copytree(unpacked / name, root / name)
    (package,) = find_toolchain("web").environments[0].npm
    fetch_npm_package(package, root / "web", tmp_path / "npm.log", 300.0)
    golden = sorted((unpacked / "golden/picture").iterdir())[:3]
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.hstack([cv2.imread(str(path)) for path in golden])[:, :300])
    words = ("--own-tiles", "--precision", "fp32", "--backend", "ort", "--model", small_build)
    done = run("upscale", photo, tmp_path / "large.png", *words)
    assert done.exit_code == 0, done.output
    for address in serving(root):
        browser.open(address, **DESKTOP, dark=False)
        settled(browser, "idle")
        browser.evaluate(f"document.querySelectorAll('input[name=network]')[{number}].click()")
        browser.drop(photo, x=300, y=200)
        assert "photo.png: 300 x 128" in settled(browser, "done", "failed", patience_s=300.0)
        found, expected = (
            np.ascontiguousarray(image[..., :3].transpose(2, 0, 1)[np.newaxis], np.float32) / 255
            for image in (canvas(browser), cv2.imread(str(tmp_path / "large.png")))
        )
        assert parity_db(expected, found) >= (50 if number == 0 else 25)
        assert browser.complaints() == []
