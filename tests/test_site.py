"""The documentation site says what is so: it builds strictly, and its commands are run.

Every ``esrdeploy`` line of every page is run in the order of the page, on a tiny network. These
tests take MkDocs and a minute: ``make site`` runs them.
"""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest
import typer
from skimage import data

from calib.images import resize_area, write_image
from deploy import api
from deploy.cli import app
from tests.pages import ROOT, commands_in, furnish, lines_in, ran, readme_commands

pytest.importorskip("mkdocs", reason="'make site' installs what the site is built with")

DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.parent.name != "decisions"
)
NOT_RUN = {
    "esrdeploy build --weights 2x-span.safetensors --calib photos/ --target qualcomm": (
        "needs spandrel; tests/deploy/test_spandrel_networks.py does it"
    ),
    "esrdeploy verify --weights 2x-span.safetensors dist/2x-span": "of the build before it",
    "esrdeploy eval --data OUT --shape source --critic net_d_400000.pth": (
        "of pairs that no build was calibrated on; tests/deploy/evaluate/test_critic.py does it"
    ),
    "esrdeploy upscale clip.mp4 large.mkv": "needs a clip; tests/deploy/upscale/video makes them",
    "esrdeploy build --model x4plus-anime-6b --calib-table TABLE --min-parity 43 "
    "--allow-mostly-promoted": "a figure of a benchmark, run by hand",
}
REAL = "tutorial.md"  # run with the real animevideov3, by the installed command


def commands_of(page: str) -> list[str]:
    """Return the commands of a page; none where tests/test_readme.py runs all of them."""
    commands = commands_in(lines_in((DOCS / page).read_text(encoding="utf-8")))
    return [] if {*commands} <= {*readme_commands()} else commands


COMMANDS = {page: commands for page in PAGES if (commands := commands_of(page))}


@pytest.fixture(scope="module")
def furnished(tiny_weights: Path, encoded_once: None, tmp_path_factory: pytest.TempPathFactory):
    """A folder with what pages speak of, and with a build that most of them go on from."""
    folder = tmp_path_factory.mktemp("site")
    furnish(folder, tiny_weights)
    cv2.imwrite(str(folder / "photo.jpg"), resize_area(data.astronaut(), 90, 60))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert ran("esrdeploy build --weights my-finetune.pth").code == 0
        shutil.copy("dist/my-finetune/my-finetune-fp32.onnx", "2x-anime.onnx")
    return folder


@pytest.fixture
def place(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, for the commands of one page."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", sorted({*COMMANDS} - {REAL}))
def test_the_commands_of_a_page_run(page: str, place: Path) -> None:
    for command in COMMANDS[page]:
        if command in NOT_RUN:
            continue
        result = ran(command)
        assert result.code == 0, f"{page}: {command}\n{result.output}\n{result.error!r}"


def test_what_is_not_run_stands_on_a_page() -> None:
    assert {*NOT_RUN} <= {command for commands in COMMANDS.values() for command in commands}


def test_the_tutorial_runs_from_an_empty_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", resize_area(data.coffee(), 100, 80))
    call = "import sys; from deploy.cli import main; sys.argv[0] = 'esrdeploy'; main()"
    assert len(COMMANDS[REAL]) > 8
    for command in COMMANDS[REAL]:
        words = [sys.executable, "-c", call, *command.split()[1:]]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    assert (tmp_path / "large.png").is_file()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning, a link that leads nowhere among them, fails."""
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # what its theme says of other versions
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return out


class Loads(HTMLParser):
    """Collects what a page loads when it is opened, and the targets of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address that a tag loads."""
        named = dict(attrs)
        if tag == "link" and named.get("rel") in {"canonical", "next", "prev"}:
            return
        key = {"link": "href", "script": "src", "img": "src", "iframe": "src"}.get(tag)
        if key is not None and named.get(key):
            self.loaded.append(named[key] or "")


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        found = Loads()
        found.feed(page.read_text(encoding="utf-8"))
        assert found.loaded
        assert [one for one in found.loaded if re.match(r"(https?:)?//", one)] == []
        assert (
            'class="mermaid"' not in page.read_text() or (site / "assets/mermaid.min.js").exists()
        )


def test_the_reference_lists_every_command_option_and_function(site: Path) -> None:
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    options = 0
    for name, command in group.commands.items():
        section = re.search(rf'id="esrdeploy-{name}".*?(?=<h2|\Z)', commands, re.DOTALL)
        assert section is not None, name
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-"):
                    options += 1
                    assert option in section[0], (name, option)
    assert options > 100
    functions = (site / "reference/python.html").read_text(encoding="utf-8")
    assert [name for name in api.__all__ if f'id="{name.lower()}"' not in functions] == []
    files = (site / "reference/files.html").read_text(encoding="utf-8")
    for schema in (DOCS / "schemas").glob("*.json"):
        assert f'id="{schema.name.removesuffix(".schema.json")}"' in files


def test_every_fenced_block_says_what_it_is() -> None:
    for page in PAGES:
        opened = re.findall(r"^```(.*)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert {kind.strip() for kind in opened[::2]} <= {
            "sh",
            "text",
            "python",
            "mermaid",
            "json",
        }, page
