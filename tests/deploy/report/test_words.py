"""The words of the page: explained where they first stand, and titles that tell pictures apart."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from calib.sample import verification_pictures
from deploy.artifacts.files import REPORT_NAME
from deploy.metrics.decibels import CEILING_DB
from deploy.progress import Silent
from deploy.report import remake_report
from tests.deploy.builds import rehash


@pytest.fixture
def page(built: Path) -> Path:
    return built / REPORT_NAME


class Words(HTMLParser):
    """Collects what is read, with ``<dfn>`` kept, without style, script and manifest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self._skipped = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in {"style", "script", "pre", "title"}
        self.text += "<dfn>" if tag == "dfn" and not attrs else ""

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in {"style", "script", "pre", "title"}

    def handle_data(self, data: str) -> None:
        self.text += "" if self._skipped else data


@pytest.mark.parametrize(
    "word",
    ["parity", "QDQ", "SQNR", "plan", "head", "trunk", "tail", "clipped", "pinned",
     "clipping weighs", "GPTQ"],
)  # fmt: skip
def test_a_word_is_explained_where_it_first_stands(page: Path, word: str) -> None:
    text = Words(page.read_text()).text
    places = [m.start() for m in re.finditer(rf"(?i)\b{word}\b", text)]
    assert places, f"{word} stands nowhere on the page"
    assert text[: places[0]].endswith("<dfn>")


def test_titles_of_pictures_are_unique(page: Path) -> None:
    titles = re.findall(r'class="scene">\s*<header>\s*<h3>(.*?)</h3>', page.read_text())
    assert len(titles) == len(set(titles)) == 3


def test_the_page_names_the_picture_of_its_layers_and_what_each_file_needs(page: Path) -> None:
    text = " ".join(Words(page.read_text()).text.split())
    first = verification_pictures().patches[0].name
    assert f"between the float and the int8 model on {first}" in text
    assert "from 27 dB, SSIM 0.6" in text
    assert "from 40 dB" in text
    assert "16 of 21 convolutions" in text


def test_what_has_no_difference_shows_no_figure(copy: Path) -> None:
    """The ceiling of decibels is how a record says that nothing differs; no one reads it."""
    parity = json.loads((copy / "parity.json").read_text())
    for record in parity["artifacts"].values():
        record |= {"psnr_db_mean": CEILING_DB, "psnr_db_min": CEILING_DB}
        for image in record["per_image"]:
            image |= {"psnr_db": CEILING_DB, "max_abs_error": 0.0}
    (copy / "parity.json").write_text(json.dumps(parity))
    rehash(copy)
    remake_report(copy, Silent())
    read = Words((copy / REPORT_NAME).read_text()).text
    assert not re.search(r"\b200(\.0+)? dB", " ".join(read.split()))
    assert "identical" in read
