"""The vendor's table: what stands beside what, and that all three forms say the same."""

import csv
import io

import pytest

from deploy.evaluate.protocols import ImageScore, Scores
from deploy.evaluate.published_figures import PUBLISHED, published
from deploy.evaluate.vendor_table import Entry, Figure, VendorTable, with_float_scores


def entry(precision: str, psnr_db: float, ssim: float, **others: object) -> Entry:
    fields = {
        "model": "x4plus-anime-6b",
        "path": f"x4plus-anime-6b-{precision}.onnx",
        "sha256": "0" * 64,
        "target": "ort" if precision == "int8" else None,
        "shape": "fixed",
        "shape_text": "3x128x128",
        "gflops": 208.1487,
        "parameters": 4_467_779,
        **others,
    }
    scores = Scores((ImageScore("0801", psnr_db - 1, ssim), ImageScore("0802", psnr_db + 1, ssim)))
    return Entry(precision=precision, scores=scores, **fields)  # type: ignore[arg-type]


@pytest.fixture
def table() -> VendorTable:
    entries = with_float_scores([entry("fp32", 22.866, 0.7119), entry("int8", 22.816, 0.7069)])
    return VendorTable(entries, {"count": 2, "names": ["0801", "0802"]}, ("two images",))


def test_published_stands_beside_ours(table: VendorTable) -> None:
    float_figures, int8_figures = (item.figures() for item in table.entries)
    assert float_figures["flops(G)"].cells() == ("208.149", "208.149", "+0.000")
    assert float_figures["PSNR"].cells() == ("22.866", "-", "-")
    assert float_figures["PSNR less float's"].cells() == ("-", "-", "-")
    assert int8_figures["PSNR less float's"].cells() == ("-0.050", "-0.509", "+0.459")
    assert int8_figures["SSIM less float's"].cells() == ("-0.0050", "-0.0450", "+0.0400")
    assert float_figures["params(M)"].cells() == ("4.468", "-", "-")


def test_lines_follow_the_columns(table: VendorTable) -> None:
    lines = list(table.lines())
    assert [line[2] for line in lines] == ["ours", "published", "difference"] * 2
    assert {len(line) for line in lines} == {len(table.columns)}
    by_name = dict(zip(table.columns, lines[3], strict=True))
    assert by_name["shape"] == "3x128x128"
    assert by_name["precision"] == "int8 ort"
    # The vendor's own columns, in the vendor's order.
    vendors = [
        name for name in table.columns if name in ("flops(G)", "params(M)", "PSNR", "SSIM", "shape")
    ]
    assert vendors == ["flops(G)", "params(M)", "PSNR", "SSIM", "shape"]


def test_nothing_is_published_for_another_shape_precision_or_model() -> None:
    floats = entry("fp32", 22.0, 0.7)
    for other in (
        entry("int8", 21.0, 0.6, shape="source"),
        entry("fp16", 21.0, 0.6),
        entry("int8", 21.0, 0.6, model="mine"),
    ):
        figures = with_float_scores([floats, other])[1].figures()
        assert figures["PSNR less float's"].published is None
        assert figures["SSIM less float's"].published is None
    assert published("mine").gflops is None
    assert published("realesrnet-x4plus").int8_psnr_less_float_db == -0.308


def test_without_the_float_file_there_is_no_difference() -> None:
    (alone,) = with_float_scores([entry("int8", 21.0, 0.6)])
    assert alone.figures()["PSNR less float's"].cells() == ("-", "-0.509", "-")


def test_markdown_is_a_table(table: VendorTable) -> None:
    lines = table.markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 6
    assert {row.count("|") for row in rows} == {len(table.columns) + 1}
    assert lines[-1] == "- two images"


def test_csv_has_a_line_per_file(table: VendorTable) -> None:
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert [row["precision"] for row in rows] == ["fp32", "int8"]
    assert float(rows[1]["psnr_less_float_ours"]) == pytest.approx(-0.05)
    assert float(rows[1]["psnr_less_float_difference"]) == pytest.approx(0.459)
    assert float(rows[0]["flops_g_published"]) == 208.149
    assert rows[0]["psnr_published"] == ""


def test_fid_is_a_column_where_it_was_asked_for(table: VendorTable) -> None:
    scored = VendorTable((entry("fp32", 22.0, 0.7, fid=12.5),), {}, ())
    assert scored.columns[-1] == "FID"
    assert scored.entries[0].record()["fid"]["ours"] == 12.5
    assert "FID" not in table.columns


def test_the_published_figures_are_the_known_ones() -> None:
    drops = {
        name: (row.int8_psnr_less_float_db, row.int8_ssim_less_float)
        for name, row in PUBLISHED.items()
    }
    assert drops == {
        "x4plus": (-0.214, -0.040),
        "x4plus-anime-6b": (-0.509, -0.045),
        "realesrnet-x4plus": (-0.308, -0.025),
    }


@pytest.mark.parametrize(
    ("figure", "cells"),
    [
        (Figure(653.6747, 653.675, 3), ("653.675", "653.675", "+0.000")),
        (Figure(None, 1.0, 1), ("-", "1.0", "-")),
        (Figure(-0.00004, None, 4, signed=True), ("+0.0000", "-", "-")),
    ],
    ids=["equal as shown", "not measured", "no minus before a zero"],
)
def test_cells(figure: Figure, cells: tuple[str, str, str]) -> None:
    assert figure.cells() == cells
