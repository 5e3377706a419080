"""The documentation site says what is so: it builds strictly, and its commands are run.

Every ``esrdeploy`` line of every page is run in the order of the page, on a tiny network. These
tests take MkDocs and minutes: ``make site`` runs them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from skimage import data

from calib.images import resize_area
from deploy import api
from deploy.artifacts.templates import data_uri
from deploy.cli import app
from deploy.simulate.toolchains import toolchains
from tests.pages import ROOT, commands_in, furnish, lines_in, ran, readme_commands
from tests.simulated import put_in_place, stand_in
from tools.site.spoilt_files import FILES
from tools.site.spoilt_returns import RETURNS
from tools.site.wrapping import kept_whole, without_escapes

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
    "esrdeploy build --model animevideov3 --calib HALF --mode whole": (
        "a figure of halves of photographs that are no part of the project, run by hand"
    ),
    "esrdeploy compare OTHER_HALF --model animevideov3": "of the build before it",
}
FAULTS_PAGE = "guides/when-verification-fails.md"
NOT_DRAWN = (
    "the digest is not the manifest's",  # whatever it is, nothing of it is run
    "a file is not in the manifest",
    "a value beyond fp16",  # no official network has one; tests/deploy/verify/test_faults.py does
    "a plan that does not follow",  # the file draws what it did
    "parity below what is needed",  # of a good file
    "taken: ",  # and accepted
)
REAL = "tutorial.md"  # run with the real animevideov3, when the site is built
FURNISHED = "esrdeploy build --weights my-finetune.pth"


def commands_of(page: str) -> list[str]:
    """Return the commands of a page; none where tests/test_readme.py runs all of them."""
    commands = commands_in(lines_in((DOCS / page).read_text(encoding="utf-8")))
    return [] if {*commands} <= {*readme_commands()} else commands


of_the_site = pytest.mark.xdist_group("site")
"""One worker builds it and looks at it; the others run the commands of pages meanwhile."""
COMMANDS = {page: commands for page in PAGES if (commands := commands_of(page))}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning, a link that leads nowhere among them, fails.

    ``make site`` names the folder where it is to stay.
    """
    folder = os.environ.get("ESRDEPLOY_SITE")
    out = tmp_path_factory.mktemp("built") if folder is None else ROOT / folder
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # what its theme says of other versions
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return out


@of_the_site
def test_the_tutorial_ran_and_shows_what_it_printed(site: Path) -> None:
    """Building the site runs it in an empty folder; a command that fails, fails the site."""
    commands = commands_of(REAL)
    assert len(commands) > 8
    page = (site / "tutorial.html").read_text(encoding="utf-8")
    for number, command in enumerate(commands, 1):
        assert f'src="pictures/terminal-{number}.svg" alt="What {command} prints"' in page
        printed = (site / f"pictures/terminal-{number}.svg").read_text(encoding="utf-8")
        assert command.replace(" ", "&#160;") in printed


def rows_of_the_guide() -> list[str]:
    """Return what its tables say ``verify`` says, a cell each."""
    text = (DOCS / FAULTS_PAGE).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|(?: (.+?) \|)", text, re.MULTILINE)
    return [
        f"{says} {means}"
        for says, means in rows
        if says not in {"it says", "---"} and "---" not in says
    ]


@of_the_site
def test_every_fault_of_the_guide_is_drawn_and_found(site: Path) -> None:
    """Building the site has ``verify`` judge each; one that it does not name so fails the site."""
    faults = (*FILES, *RETURNS)
    rows = rows_of_the_guide()
    assert len(rows) > 12
    shown = {row: [fault.name for fault in faults if fault.says in row] for row in rows}
    drawn_none = {row for row, names in shown.items() if not names}
    assert {next(word for word in NOT_DRAWN if row.startswith(word)) for row in drawn_none} == {
        *NOT_DRAWN
    }
    assert {name for names in shown.values() for name in names} == {fault.name for fault in faults}
    page = (site / FAULTS_PAGE).with_suffix(".html").read_text(encoding="utf-8")
    for fault in faults:
        figure = re.search(
            rf'<figure class="drawn fault" id="{fault.name}">.*?</figure>', page, re.DOTALL
        )
        assert figure is not None, fault.name
        told = re.search(r"<pre><code>(.*?)</code></pre>", figure[0], re.DOTALL)
        assert told is not None, fault.name
        assert fault.says in told[1]
        assert len(re.findall("<img ", figure[0])) == 3


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


@of_the_site
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found = Loads()
        found.feed(text)
        assert found.loaded
        for one in found.loaded:
            if one.startswith("data:") or page.name == "404.html":  # whose links are from the root
                continue
            assert re.match(r"(https?:)?//", one) is None, (page, one)
            assert (page.parent / one.partition("?")[0]).exists(), (page, one)
        assert 'class="mermaid"' not in text or (site / "assets/mermaid.min.js").exists()
        assert "<!-- picture:" not in text
    for drawn in (site / "pictures").glob("*.svg"):
        assert re.search(r"(?:href|src)=|url\((?!#)|@import", drawn.read_text()) is None, drawn


@of_the_site
def test_charts_show_every_figure_of_the_tables(site: Path) -> None:
    page = (site / "results.html").read_text(encoding="utf-8")
    charts = re.findall(r'<figure class="chart">.*?</figure>', page, re.DOTALL)
    tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    values = [re.findall(r'class="value">([\d.]+)', chart) for chart in charts]
    assert [len(found) for found in values] == [10, 8, 12, 9, 4, 3, 3]
    for chart, found in zip(charts, values, strict=True):
        network = re.search(r"<strong>(.*?):", chart)
        assert network is not None
        figures = " ".join(tables)
        assert all(re.search(rf">{re.escape(value)}<", figures) for value in found), network[1]


@of_the_site
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
    assert "object at 0x" not in functions
    assert [name for name in api.__all__ if f'id="{name.lower()}"' not in functions] == []
    files = (site / "reference/files.html").read_text(encoding="utf-8")
    for schema in (DOCS / "schemas").glob("*.json"):
        assert f'id="{schema.name.removesuffix(".schema.json")}"' in files


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


@pytest.mark.parametrize("page", sorted({*COMMANDS} - {REAL}))
def test_the_commands_of_a_page_run(page: str, place: Path) -> None:
    for command in COMMANDS[page]:
        if command in NOT_RUN or command == FURNISHED:
            continue
        result = ran(command)
        assert result.code == 0, f"{page}: {command}\n{result.output}\n{result.error!r}"


def test_what_is_not_run_stands_on_a_page() -> None:
    assert {*NOT_RUN} <= {command for commands in COMMANDS.values() for command in commands}


@pytest.mark.parametrize(
    ("change", "page", "expected"),
    [
        (
            kept_whole,
            "<code>build --size</code>",
            '<code><span class="word">build</span> <span class="word">--size</span></code>',
        ),
        (kept_whole, "<pre><code>build --size\n</code></pre>", None),
        (kept_whole, f"<code>{'a' * 41}</code>", None),
        (without_escapes, r"| `gptq\|nearest` | a \| b |", r"| `gptq|nearest` | a \| b |"),
        (without_escapes, r"`gptq\|nearest`", None),
    ],
    ids=["words", "block", "long word", "table", "line"],
)
def test_code_breaks_where_it_may(
    change: Callable[[str], str], page: str, expected: str | None
) -> None:
    assert change(page) == (page if expected is None else expected)


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
