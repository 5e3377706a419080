"""Lay scores of built models out as the vendor's table, each figure beside the published one.

The columns are the vendor's, flops(G), params(M), PSNR, SSIM and shape, and beside them what a
precision changes against float on the same pictures, its figure less float's, so that a loss is
negative: that is what the vendor publishes in a form one can compare. A row of the table is three
lines: ours, published, difference. A figure that is not known shows as a dash.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.artifacts.precision import ModelPrecision
from deploy.evaluate.critic import CriticScore
from deploy.evaluate.protocols import Scores, Shape
from deploy.evaluate.published_figures import Published, published

SCHEMA = "esrdeploy.eval/1"
DASH = "-"


@dataclass(frozen=True)
class Figure:
    """One figure of ours and the published one.

    Attributes:
        ours: as measured; ``None`` where it was not.
        published: as the vendor prints it; ``None`` where nothing is known.
        decimals: to show it with.
        signed: whether it is a change, shown with its sign.
    """

    ours: float | None
    published: float | None
    decimals: int
    signed: bool = False

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        if self.ours is None or self.published is None:
            return None
        return self.ours - self.published

    def cells(self) -> tuple[str, str, str]:
        """Return ours, published and difference as they are shown.

        >>> Figure(0.0034, -0.509, 3, signed=True).cells()
        ('+0.003', '-0.509', '+0.512')
        >>> Figure(22.866, None, 3).cells()
        ('22.866', '-', '-')
        """
        return (
            self._cell(self.ours, self.signed),
            self._cell(self.published, self.signed),
            self._cell(self.difference, signed=True),
        )

    def record(self) -> dict[str, float | None]:
        """Return the three values as a JSON-able mapping."""
        return {"ours": self.ours, "published": self.published, "difference": self.difference}

    def _cell(self, value: float | None, signed: bool) -> str:
        if value is None:
            return DASH
        rounded = round(value, self.decimals) + 0.0  # no minus before a zero
        return format(rounded, f"{'+' if signed else ''}.{self.decimals}f")


@dataclass(frozen=True)
class Entry:
    """What was measured of one file.

    Attributes:
        model: name in the model table, or the user's own.
        path: file name of the model.
        sha256: digest of the file.
        precision: it is stored in.
        target: profile of an int8 file, else ``None``.
        shape: which protocol.
        shape_text: the column shape, such as ``3x128x128``.
        gflops: the vendor's count, at this shape.
        parameters: of the network.
        scores: PSNR and SSIM, per image and over all.
        fid: Frechet distance of the features, where it was asked for.
        critic: what a discriminator says of the pictures, where it was asked.
        float_scores: of the float file on the same pictures; ``None`` where it was not scored.
    """

    model: str
    path: str
    sha256: str
    precision: ModelPrecision
    target: str | None
    shape: Shape
    shape_text: str
    gflops: float
    parameters: int
    scores: Scores
    fid: float | None = None
    float_scores: Scores | None = None
    critic: CriticScore | None = None

    @property
    def label(self) -> str:
        """Precision and target in one word."""
        return self.precision if self.target is None else f"{self.precision} {self.target}"

    def figures(self) -> dict[str, Figure]:
        """Return the figures by column, in the vendor's order."""
        fixed = self.shape == "fixed"
        known = published(self.model) if fixed else Published()
        quantized = self.precision == "int8"
        psnr_change, ssim_change = self._less_float()
        return {
            "flops(G)": Figure(self.gflops, known.gflops, 3),
            "params(M)": Figure(self.parameters / 1e6, None, 3),
            "PSNR": Figure(self.scores.psnr_db, None, 3),
            "SSIM": Figure(self.scores.ssim, None, 4),
            "PSNR less float's": Figure(
                psnr_change, known.int8_psnr_less_float_db if quantized else None, 3, signed=True
            ),
            "SSIM less float's": Figure(
                ssim_change, known.int8_ssim_less_float if quantized else None, 4, signed=True
            ),
            **({} if self.fid is None else {"FID": Figure(self.fid, None, 3)}),
            **({} if self.critic is None else {"critic": Figure(self.critic.logit, None, 3)}),
        }

    def _less_float(self) -> tuple[float | None, float | None]:
        """PSNR and SSIM less those of float: below 0 where this file is the worse one."""
        if self.float_scores is None:
            return None, None
        return (
            self.scores.psnr_db - self.float_scores.psnr_db,
            self.scores.ssim - self.float_scores.ssim,
        )

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping, every image's scores included."""
        return {
            "model": self.model,
            "path": self.path,
            "sha256": self.sha256,
            "precision": self.precision,
            "target": self.target,
            "shape": self.shape_text,
            **{_key(name): figure.record() for name, figure in self.figures().items()},
            "scores": self.scores.record(),
            **({} if self.critic is None else {"critic_probability": self.critic.probability}),
        }


@dataclass(frozen=True)
class VendorTable:
    """The table and what it was measured on.

    Attributes:
        entries: one per file, in order of model and precision.
        images: names, count and digest of the evaluation pairs.
        notes: what a reader must know to compare the figures.
    """

    entries: tuple[Entry, ...]
    images: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the columns; shape stands where the vendor has it, behind SSIM."""
        figures = list(self.entries[0].figures())
        at = figures.index("SSIM") + 1
        return ["model", "precision", "", *figures[:at], "shape", *figures[at:]]

    def lines(self) -> Iterator[list[str]]:
        """Yield the cells of the table: for each entry ours, published, difference."""
        for entry in self.entries:
            columns = [figure.cells() for figure in entry.figures().values()]
            at = list(entry.figures()).index("SSIM") + 1
            for number, source in enumerate(("ours", "published", "difference")):
                head = [entry.model, entry.label] if number == 0 else ["", ""]
                cells = [column[number] for column in columns]
                shape = entry.shape_text if number == 0 else ""
                yield [*head, source, *cells[:at], shape, *cells[at:]]

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "schema": SCHEMA,
            "images": self.images,
            "notes": list(self.notes),
            "rows": [entry.record() for entry in self.entries],
        }

    def markdown(self) -> str:
        """Return the table and its notes as markdown."""
        columns = self.columns
        first_figure = columns.index("") + 1
        rule = ["---"] * first_figure + ["---:"] * (len(columns) - first_figure)
        rule[columns.index("shape")] = "---"
        rows = [_markdown_row(cells) for cells in (columns, rule, *self.lines())]
        return "\n".join([*rows, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def csv(self) -> str:
        """Return one line per file: each figure as ours, published and difference."""
        names = [_key(name) for name in self.entries[0].figures()]
        parts = ("ours", "published", "difference")
        header = ["model", "precision", "target", "shape", "images", "sha256"]
        header += [f"{name}_{part}" for name in names for part in parts]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for entry in self.entries:
            figures = [figure.record() for figure in entry.figures().values()]
            writer.writerow(
                [entry.model, entry.precision, entry.target or "", entry.shape_text]
                + [len(entry.scores.images), entry.sha256]
                + [_csv_cell(figure[part]) for figure in figures for part in parts]
            )
        return text.getvalue()


def with_float_scores(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Give every entry the scores of its model's float file, where that was scored too."""
    floats = {entry.model: entry.scores for entry in entries if entry.precision == "fp32"}
    return tuple(
        entry if entry.precision == "fp32" else replace(entry, float_scores=floats.get(entry.model))
        for entry in entries
    )


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _csv_cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _key(column: str) -> str:
    """Return a column's name as JSON and CSV spell it.

    >>> _key("flops(G)"), _key("PSNR less float's")
    ('flops_g', 'psnr_less_float')
    """
    return column.lower().replace("(", "_").replace(")", "").replace("'s", "").replace(" ", "_")
