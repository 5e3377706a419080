"""What the pages name is there: options, ``make`` targets, extras, files and other pages."""

import re
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from tests.pages import ROOT, lines_in, spans_in

MADE = {"commands.md", "files.md", "python.md"}  # docs/reference, which the site's hooks write
OTHER_PROGRAMS = {  # whose options a page names
    "0017-strongly-typed-graphs.md": {"--int8", "--fp16"},
    "add-a-vendor.md": {"--mlir", "--chip", "--mean", "--pixel"},
}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
named_pages = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def words_of(page: Path) -> list[str]:
    """Return what stands in code on a page: its commands, and what is between backticks."""
    text = page.read_text(encoding="utf-8")
    return [*lines_in(text), *spans_in(text)]


@named_pages
def test_every_option_exists(page: Path) -> None:
    group = typer.main.get_command(app)
    params = [param for command in (group, *group.commands.values()) for param in command.params]
    offered = {name for param in params for name in (*param.opts, *param.secondary_opts)}
    ours = [words for words in words_of(page) if re.match(r"(\S*esrdeploy )|--", words)]
    named = {name for words in ours for name in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", words)}
    assert named - offered - {"--help"} == OTHER_PROGRAMS.get(page.name, set())


def test_options_are_named() -> None:
    named = {word for page in PAGES for words in words_of(page) for word in words.split()}
    assert len({word for word in named if word.startswith("--")}) > 50


@named_pages
def test_every_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in {word for words in words_of(page) for word in re.findall(r"^make (\w+)", words)}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@named_pages
def test_every_extra_exists(page: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    text = page.read_text(encoding="utf-8")
    for named in re.findall(
        r"(?:\.|esrdeploy|\.whl)\[([\w,]+)\]|extra(?:\]\([^)]*\))? `(\w+)`", text
    ):
        for extra in "".join(named).split(","):
            assert re.search(rf"^{extra} = \[", extras, re.MULTILINE), extra


@named_pages
def test_every_file_exists(page: Path) -> None:
    roots = r"(calib|quant|deploy|docs|tests|tools|benchmarks)/"
    for named in words_of(page):
        if re.match(rf"{roots}[\w/.-]+$", named):
            assert (ROOT / named).exists(), named


@named_pages
def test_every_link_to_a_page_leads_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        leads_to = page.parent / target if target else page
        if leads_to.parent == ROOT / "docs/reference" and leads_to.name in MADE:
            continue
        assert leads_to.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@named_pages
def test_what_is_made_with_the_site_is_said_to_be(page: Path) -> None:
    """The reference and pictures are not in the repository: its pages say so."""
    paragraphs = re.split(r"\n\n|\n(?=\|)", page.read_text(encoding="utf-8"))
    made = [text for text in paragraphs if "](reference/" in text or "<!-- picture: " in text]
    assert [text for text in made if "`make site`" not in text] == []


def test_something_is_made_with_the_site() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum("](reference/" in text for text in texts) > 2
    assert sum("<!-- picture: " in text for text in texts) > 4
