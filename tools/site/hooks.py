"""Add to the documentation site what is made when it is built, and keep its pages to themselves.

MkDocs calls these hooks (mkdocs.yml). The reference is written from the code (`reference`), charts
are drawn from the measured tables (`charts`), and the tutorial is run in an empty folder
(`tutorial`): what its commands print stands below them, and what its build draws becomes the
pictures (`pictures`). A command of it that fails, fails the site. Into that build and its bundle
the faults of the guide to failed verifications are put (`faults`); one that ``verify`` does not
find fails the site too. ``ESRDEPLOY_SITE_PICTURES=0`` leaves all of that out, and pages say so
where its pictures would be.

Mermaid graphs are drawn by a copy of the library in ``dist/mermaid``, which ``make site`` fetches
where npm is; without it a graph is shown as the text that it is written in.
"""

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.site.charts import SITE, charts
from tools.site.faults import pictures_of_faults
from tools.site.pictures import pictures_of_build
from tools.site.reference import commands_page, files_page, python_page
from tools.site.tutorial import MODEL, TUTORIAL, run_tutorial, with_terminals
from tools.site.wrapping import kept_whole, without_escapes

ROOT = Path(__file__).parents[2]
MERMAID = ROOT / "dist" / "mermaid" / "mermaid.min.js"
_SCRIPT = "assets/mermaid.min.js"
_FENCE = "pymdownx.superfences"
# With the rest of its line: words for who reads the source.
_MARK = re.compile(r"^.*<!-- picture: ([\w-]+) -->$", re.MULTILINE)
_LEFT_OUT = '!!! note "Left out"\n\n    This site was built without running the tutorial.'


@dataclass
class Made:
    """What was made for this build of the site.

    Attributes:
        shown: HTML by the name that a page's mark gives it; `SITE` in it is the site's folder.
        printed: what each command of the tutorial printed, as a file below the site.
        left_out: whether the tutorial was not run.
    """

    shown: dict[str, str] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    left_out: bool = False


_made = Made()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions, and have graphs drawn where that can be done without a request."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    _fill_in(config.nav, [f"decisions/{path.name}" for path in decisions])
    if MERMAID.is_file():
        config.extra_javascript.append(_SCRIPT)
        config.mdx_configs[_FENCE] = {"custom_fences": [_mermaid_fence()]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written from the code, and the pictures of the tutorial's build."""
    pages = {"commands": commands_page(), "files": files_page(), "python": python_page()}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    if MERMAID.is_file():
        files.append(File.generated(config, _SCRIPT, content=MERMAID.read_bytes()))
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    _made.shown = charts(results)
    _made.left_out = os.environ.get("ESRDEPLOY_SITE_PICTURES") == "0"
    if not _made.left_out:
        with tempfile.TemporaryDirectory() as folder:
            terminals = run_tutorial(ROOT / "docs" / TUTORIAL, Path(folder))
            made = (MODEL, f"{MODEL}-qnn-handoff.zip")
            build, bundle = (Path(folder, "dist", name) for name in made)
            pictures = pictures_of_build(build)
            faults = pictures_of_faults(build, bundle, Path(folder, "faults"))
        _made.shown |= {**pictures.shown, **faults.shown}
        _made.printed = {terminal.command: terminal.path for terminal in terminals}
        drawn = {terminal.path: terminal.svg for terminal in terminals}
        contents = {**pictures.files, **faults.files, **drawn}
        for path, content in contents.items():
            files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the pictures where a page asks for them, and what commands print below them."""
    if page.file.src_uri == TUTORIAL and not _made.left_out:
        markdown = with_terminals(markdown, _made.printed)
    to_site = "../" * page.file.src_uri.count("/")

    def picture(mark: re.Match[str]) -> str:
        if mark[1] not in _made.shown and _made.left_out:
            return _LEFT_OUT
        return _made.shown[mark[1]].replace(SITE, to_site)

    return _MARK.sub(picture, without_escapes(markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Say where lines may break."""
    return kept_whole(html)


def _fill_in(nav: list[Any] | None, decisions: list[str]) -> None:
    """Put the decisions where the navigation has a word for them."""
    for entry in nav or []:
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if value == "DECISIONS":
                entry[key] = list(decisions)
            elif isinstance(value, list):
                _fill_in(value, decisions)


def _mermaid_fence() -> dict[str, Any]:
    from pymdownx.superfences import fence_code_format  # noqa: PLC0415  # with the site's packages

    return {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
