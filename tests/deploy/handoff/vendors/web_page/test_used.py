"""The page is used by keyboard, read in both themes, and says in words what goes wrong."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browsing import Browser
from tests.deploy.handoff.vendors.web_page.showing import DESKTOP, RNG, STATE, serving, settled


def test_it_is_used_by_keyboard_alone(page: Browser, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 256, (50, 60, 3), np.uint8))
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "file"
    outline = "getComputedStyle(document.querySelector('#place label')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.press("Tab", 9)
    page.press("ArrowDown", 40)
    assert page.evaluate("document.activeElement.value") == "../models/small-int8-ort.onnx"
    page.choose("#file", tmp_path / "photo.png")
    settled(page, "done", "failed")
    reached = []
    for _ in range(4):
        page.press("Tab", 9)
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["again", "save", "full", "shown"]
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }
    roles = {role for role, _ in named}
    assert {"main", "heading", "group", "radio", "status", "alert"} <= roles
    assert ("image", "photo.png, enlarged") in named
    assert any(role == "button" and name == "Save as PNG" for role, name in named)
    assert not [
        role for role, name in named if role in {"button", "radio", "checkbox"} and not name
    ]


def no_picture(folder: Path) -> None:
    (folder / "photo.png").write_text("a letter")


def too_large(folder: Path) -> None:
    cv2.imwrite(str(folder / "photo.png"), np.zeros((9000, 8), np.uint8))


def small(folder: Path) -> None:
    cv2.imwrite(str(folder / "photo.png"), np.full((9, 8, 3), (1, 2, 3), np.uint8))


REFUSED = {
    "no picture": (no_picture, {}, "photo.png is no picture that this browser can read."),
    "too large": (
        too_large,
        {},
        "8 x 9,000 pixels. Enlarged they would be 16 x 18,000, more than",
    ),
    "a network that fails": (
        small,
        {"models/small-fp32.onnx": "-1"},
        "The network could not be run: Error: out of memory",
    ),
    "not numbers": (small, {"models/small-fp32.onnx": "NaN"}, "values that are no numbers"),
    "no runtime": (
        small,
        {"web/onnxruntime-web/dist/ort.wasm.min.mjs": None},
        "README.md says how",
    ),
    "no network": (small, {"models/small-fp32.onnx": None}, "../models/small-fp32.onnx was not"),
}


@pytest.mark.parametrize(("lay", "changes", "says"), REFUSED.values(), ids=REFUSED)
def test_what_goes_wrong_is_said_in_the_page(  # noqa: PLR0917  # fixtures
    browser: Browser,
    folder: Path,
    tmp_path: Path,
    lay: Callable[[Path], None],
    changes: dict[str, str | None],
    says: str,
) -> None:
    root = Path(shutil.copytree(folder, tmp_path / "changed"))
    for name, content in changes.items():
        (root / name).unlink()
        if content is not None:
            (root / name).write_text(content)
    lay(tmp_path)
    for address in serving(root):
        browser.open(address, **DESKTOP, dark=False)
        settled(browser, "idle")
        browser.drop(tmp_path / "photo.png", x=300, y=200)
        assert says in settled(browser, "done", "failed")
        assert browser.evaluate("document.getElementById('save').hidden") is True
        shown = browser.evaluate(
            "document.getElementById('problem').getBoundingClientRect().height"
        )
        assert shown > 10


def test_a_page_without_its_numbers_says_so(browser: Browser, folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(folder, tmp_path / "changed"))
    (root / "web/network.json").unlink()
    for address in serving(root):
        browser.open(address, **DESKTOP, dark=False)
        deadline = time.monotonic() + 20
        while browser.evaluate(STATE) != "failed":
            assert time.monotonic() < deadline
        assert "network.json was not found" in browser.evaluate("document.body.innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_and_can_be_read(  # fixtures
    browser: Browser, address: str, tmp_path: Path, width: int, dark: bool
) -> None:
    browser.open(address, width=width, height=800, dark=dark)
    settled(browser, "idle")
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 256, (90, 600, 3), np.uint8))
    browser.drop(tmp_path / "photo.png", x=150, y=250)
    settled(browser, "done", "failed")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colours = browser.evaluate(
        "['body', 'header p', 'fieldset small', '#status', '#problem', '#again'].map((one) =>"
        "getComputedStyle(document.querySelector(one)).color)"
    )
    paper = luminance(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (paper < 0.1) == dark
    for colour in colours:
        lighter, darker = sorted((paper, luminance(colour)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) > 4.5, colour


def luminance(colour: str) -> float:
    """Return the relative luminance of ``rgb(...)`` (WCAG 2)."""
    channels = np.array([int(value) for value in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
