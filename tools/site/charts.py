"""Draw the charts of the documentation site from the tables in docs/results.md.

A chart is HTML with one small SVG a row, stretched over the width that there is, with the text
beside it: it follows light and dark, and stays readable on a phone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.artifacts.templates import page_environment

SITE = "SITE/"  # stands for the site's folder in HTML that pages of any folder show
NETWORKS = ("x4plus-anime-6b", "x4plus")
TILES_OF = ("animevideov3", "general-x4v3", "x4plus-anime-6b")

Table = list[dict[str, str]]


@dataclass(frozen=True)
class Row:
    """One figure of a chart.

    Attributes:
        label: what it is of.
        value: the figure.
        low: the smallest of what it sums up.
        high: the largest.
        ours: whether it is esrdeploy's.
    """

    label: str
    value: float
    low: float
    high: float
    ours: bool


@dataclass(frozen=True)
class Chart:
    """Rows on one axis.

    Attributes:
        title: what is measured, of what.
        caption: what the marks mean, and which way is better.
        unit: of every figure, with its space.
        axis: its two ends.
        lines: figures that mean something, with what they mean.
        rows: the figures; their bars begin at 0 where the axis has it, else at the smallest figure.
    """

    title: str
    caption: str
    unit: str
    axis: tuple[float, float]
    lines: tuple[tuple[float, str], ...]
    rows: tuple[Row, ...]

    def bar(self, row: Row) -> tuple[float, float]:
        """Return where a row's bar begins, and how long it is, in percent of the axis."""
        start = self.at(row.low if self.axis[0] else 0.0)
        return start, round(self.at(row.value) - start, 2)

    def at(self, figure: float) -> float:
        """Return where a figure stands, in percent of the axis."""
        left, right = self.axis
        return round(100 * (min(max(figure, left), right) - left) / (right - left), 2)


def charts(results: str) -> dict[str, str]:
    """Return HTML by the name of the chart.

    Args:
        results: Markdown of docs/results.md.
    """
    return {
        "accuracy": "\n".join(_html(_accuracy(results, network)) for network in NETWORKS),
        "speed": "\n".join(_html(_speed(results, network)) for network in NETWORKS),
        "tiles": "\n".join(_html(_tiles(results, network)) for network in TILES_OF),
    }


def _accuracy(results: str, network: str) -> Chart:
    return _parity(
        [row for row in _table(results, f"### {network}") if row["int8"] != "float"],
        title=f"{network}: parity of int8 with float",
        caption="From the worst picture to the mean of 18; further right is nearer to float.",
    )


def _tiles(results: str, network: str) -> Chart:
    return _parity(
        _table(results, f"### {network}, other photographs"),
        title=f"{network}: parity of int8 with float on other photographs",
        caption="From the worst tile to the mean of 14; further right is nearer to float.",
    )


def _parity(table: Table, title: str, caption: str) -> Chart:
    rows = tuple(
        Row(
            label=row["int8"].replace("`", ""),
            value=float(row["parity dB mean"]),
            low=float(row["min"]),
            high=float(row["parity dB mean"]),
            ours=row["int8"].startswith("esrdeploy"),
        )
        for row in table
    )
    return Chart(
        title=title,
        caption=caption,
        unit=" dB",
        axis=(20.0, 52.0),
        lines=((27.0, "acceptable"), (40.0, "cannot be told from float")),
        rows=rows,
    )


def _speed(results: str, network: str) -> Chart:
    rows = tuple(_speed_rows(_table(results, "## Speed"), network))
    return Chart(
        title=f"{network}: times as fast as float",
        caption="The median, with the shortest and the longest; beyond 1 int8 is faster.",
        unit="",
        axis=(0.0, 4.5),
        lines=((1.0, "float"),),
        rows=rows,
    )


def _speed_rows(table: Table, network: str) -> Iterator[Row]:
    for row in table:
        kind, _, name = row["int8 file"].partition("/")
        target = name.removesuffix(".onnx").partition("-int8-")[2]
        if name != f"{network}-int8-{target}.onnx":
            continue
        setting = "" if kind == "default" else f" --{kind}"
        low, _, high = row["min to max"].partition(" to ")
        yield Row(
            label=f"{target}{setting} in {re.sub(r' [0-9.]+$', '', row['runtime'])}",
            value=float(row["times as fast"]),
            low=float(low),
            high=float(high),
            ours=True,
        )


def _table(results: str, heading: str) -> Table:
    """Return the first table below a heading, by its columns; a second `less float's` goes."""
    section = results.partition(f"\n{heading}\n")[2]
    block = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    if block is None:
        raise ValueError(f"docs/results.md has no table below {heading!r}")
    header, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in block[0].splitlines()
    )
    return [dict(zip(header, line, strict=True)) for line in lines]


def _html(chart: Chart) -> str:
    return page_environment("tools.site").get_template("chart.html").render(chart=chart)
