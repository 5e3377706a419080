"""What the tests of the page share: what it is expected to draw, and what it shows."""

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from calib.arrays import Float32
from deploy.runtime.tiling import tiled_runner
from tests.browsing import Browser

SCALE = 2
RNG = np.random.default_rng(3)
STATE = "document.body.dataset.state"
SHOWN = "document.getElementById('picture').toDataURL('image/png')"
DESKTOP = {"width": 1000, "height": 800}


def drawn(given: Float32, gain: float = 0.9) -> Float32:
    """Draw as the stand-in does: tiles differ towards their rims."""
    large = given.repeat(SCALE, axis=2).repeat(SCALE, axis=3) * np.float32(gain)
    rows, columns = (np.arange(side, dtype=np.float32) for side in large.shape[2:])
    return large + rows[:, np.newaxis] / np.float32(2560) - columns / np.float32(5120)


def enlarged(picture: np.ndarray, gain: float = 0.9) -> np.ndarray:
    """Return uint8 [H, W, C] of one or three channels as the project enlarges it."""
    planes = np.broadcast_to(picture.transpose(2, 0, 1), (3, *picture.shape[:2]))
    given = np.ascontiguousarray(planes[np.newaxis], np.float32) / np.float32(255)
    whole = tiled_runner(lambda tile: drawn(tile, gain), SCALE)(given)[0]
    shown = whole.mean(axis=0, keepdims=True) if picture.shape[2] == 1 else whole
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, str(folder / "web/serve.py"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[0]
        server.kill()


def settled(browser: Browser, *states: str, patience_s: float = 120.0) -> str:
    """Wait until the page is in one of some states, and return what it says then."""
    deadline = time.monotonic() + patience_s
    ready = "document.querySelectorAll('input[name=network]').length"
    while browser.evaluate(STATE) not in states or not browser.evaluate(ready):
        assert time.monotonic() < deadline, browser.evaluate("document.body.innerText")
        time.sleep(0.05)
    said: str = browser.evaluate(
        "document.getElementById('status').innerText + document.getElementById('problem').innerText"
    )
    return said.replace("\N{MULTIPLICATION SIGN}", "x")


def canvas(browser: Browser) -> np.ndarray:
    """Return what the canvas shows, uint8 [H, W, 4] BGRA."""
    raw = base64.b64decode(browser.evaluate(SHOWN).partition(",")[2])
    stored = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(stored if stored.shape[2] == 4 else cv2.cvtColor(stored, cv2.COLOR_BGR2BGRA))


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    off = np.abs(found.astype(int) - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.001
