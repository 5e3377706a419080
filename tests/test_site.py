"""The documentation site says what is so: it builds strictly, and loads nothing from elsewhere.

It takes MkDocs and minutes to build: ``make site`` runs these tests, and those of the commands on
its pages (test_commands_on_pages.py) in another process meanwhile.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

from deploy import api
from deploy.cli import app
from tests.pages import DOCS, PAGES, ROOT, TUTORIAL, commands_of
from tools.site.spoilt_files import FILES
from tools.site.spoilt_returns import RETURNS
from tools.site.wrapping import kept_whole, without_escapes

pytest.importorskip("mkdocs", reason="'make site' installs what the site is built with")

FAULTS_PAGE = "guides/when-verification-fails.md"
NOT_DRAWN = (
    "`the file was changed after its manifest was written`",  # whatever it is, nothing of it is run
    "`is not in the manifest`",
    "`fp16 overflow`",  # no official network has one; tests/deploy/verify/test_faults.py does
    "`stale: the plan was made from`",  # the file draws what it did
    "`needs 27`",  # of a good file
    "`taken: `",  # and accepted
    "`our own int8 file",  # of a good file; tests/deploy/handoff/returned/test_foreign.py does
)


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


def test_the_tutorial_ran_and_shows_what_it_printed(site: Path) -> None:
    """Building the site runs it in an empty folder; a command that fails, fails the site."""
    commands = commands_of(TUTORIAL)
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


def rows_below(page: str, heading: str) -> list[list[str]]:
    """Return the text of every cell of the first table below a heading, row by row."""
    found = re.search(rf"<h[23][^>]*>{re.escape(heading)}<.*?<table>(.*?)</table>", page, re.DOTALL)
    assert found is not None, heading
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<.*?>", "", cell) for cell in row] for row in cells]


def test_charts_show_every_figure_of_the_tables(site: Path) -> None:
    page = (site / "results.html").read_text(encoding="utf-8")
    charts = re.findall(r'<figure class="chart">.*?</figure>', page, re.DOTALL)
    assert len(charts) >= 7
    for chart in charts:
        title = re.search(r"<strong>(.*?): (.*?)</strong>", chart)
        assert title is not None
        network, shown = title[1], title[2]
        if shown.startswith("times"):
            column, heading = "times as fast", "Speed"
        else:
            elsewhere = shown.endswith("photographs")
            column, heading = "parity dB mean", network + ", other photographs" * elsewhere
        header, *rows = rows_below(page, heading)
        wanted = [row[header.index(column)] for row in rows if row[0] != "float"]
        if heading == "Speed":
            own = re.compile(rf"[a-z-]+/{re.escape(network)}-int8-[a-z0-9-]+\.onnx")
            wanted = [row[header.index(column)] for row in rows if own.fullmatch(row[0])]
        assert len(wanted) > 2
        assert re.findall(r'class="value">([\d.]+)', chart) == wanted, network


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
