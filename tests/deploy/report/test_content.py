"""What the report says of a build: the truth about a good one, and about a spoiled one."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from deploy.progress import Silent
from deploy.report.content import read_content, side_by_side, threshold_db


def test_a_good_build_passes_with_its_figures(built: Path) -> None:
    content = read_content(built, Silent())
    assert content.passed
    assert [card.label for card in content.cards] == ["fp32", "fp16", "int8 ort"]
    recorded = json.loads((built / "parity.json").read_text())["artifacts"]
    for card in content.cards:
        assert card.passed
        assert asdict(card.parity) == {
            **recorded[card.artifact.path],
            "failures": (),
            "per_image": tuple(recorded[card.artifact.path]["per_image"]),
        }
    assert [card.reference for card in content.cards] == ["torch", "float", "float"]
    assert [threshold_db(card) for card in content.cards] == [100.0, 55.0, 27.0]
    assert len(content.parity_db) == 6


def test_parity_is_also_a_number_of_grey_levels(built: Path) -> None:
    card = read_content(built, Silent()).cards[2]
    assert card.parity is not None
    # 10 log10(255^2 / rms^2) is the parity again.
    assert card.grey_levels == pytest.approx(255 / 10 ** (card.parity.psnr_db_mean / 20))


def test_a_figure_below_a_limit_is_not_rounded_up_to_it(built: Path) -> None:
    card = read_content(built, Silent()).cards[2]
    assert card.parity is not None
    near = replace(card, parity=replace(card.parity, psnr_db_min=39.996))
    assert (near.lowest_db, near.level) == ("39.99 dB", "acceptable")


def test_a_changed_file_is_named_and_not_shown(copy: Path) -> None:
    path = copy / "tiny-int8-ort.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    found = read_content(copy, Silent())
    assert not found.passed
    assert any(line.startswith("tiny-int8-ort.onnx, file: sha256") for line in found.failures)
    assert not found.plans
    assert "tiny-int8-ort.onnx" not in found.build.models


def test_a_damaged_record_leaves_nothing_compared(copy: Path) -> None:
    (copy / "parity.json").write_text("{}")
    found = read_content(copy, Silent())
    assert not found.passed
    assert "nothing was compared" in found.failures
    assert found.cards[1].parity is None
    assert found.parity_db == {}


def test_a_parity_below_its_threshold_is_a_finding(copy: Path) -> None:
    from calib.digest import sha256_file
    from calib.records import encode
    from deploy.artifacts.manifest import read_manifest
    from deploy.artifacts.parity_record import read_parity
    from deploy.metrics.parity import ParityResult

    name, recorded = "tiny-int8-ort.onnx", read_parity(copy)
    record = recorded.artifacts[name]
    images = tuple(
        replace(image, psnr_db=20.0, name="coins.png") if position == 0 else image
        for position, image in enumerate(record.per_image)
    )
    low = ParityResult(name, record.reference, record.threshold, images).record()
    parity = replace(recorded, artifacts={**recorded.artifacts, name: low})
    (copy / "parity.json").write_bytes(encode(parity))
    manifest = read_manifest(copy / "manifest.json")
    artifacts = tuple(
        replace(
            item,
            sha256=sha256_file(copy / item.path),
            size_bytes=(copy / item.path).stat().st_size,
        )
        for item in manifest.artifacts
    )
    manifest = replace(manifest, artifacts=artifacts, parity=parity.figures)
    (copy / "manifest.json").write_bytes(manifest.content())
    found = read_content(copy, Silent())
    assert not found.passed
    assert found.failures == (
        "tiny-int8-ort.onnx, coins.png: 20.00 dB against tiny-fp32.onnx, expected at least 27 dB",
    )


def test_the_value_nearest_to_the_end_of_fp16_is_known(built: Path) -> None:
    content = read_content(built, Silent())
    assert content.fp16_largest is not None
    assert 0 < content.fp16_largest.largest < 65504
    assert content.fp16_kept == ()


@pytest.mark.parametrize("most", [2, 3, 4, 5])
def test_none_stands_alone_where_that_can_be_helped(most: int) -> None:
    for count in range(1, 20):
        columns = side_by_side(count, most)
        assert 1 <= columns <= most
        helped = [fewer for fewer in range(2, most + 1) if count % fewer != 1]
        assert count == 1 or count % columns != 1 or not helped


def test_no_card_stands_alone_below_a_full_row(built: Path) -> None:
    content = read_content(built, Silent())
    cards = content.cards
    for count in range(1, 8):
        content.__dict__["cards"] = (cards * 7)[:count]  # a cached property
        assert content.columns <= 4
        assert count <= 4 or count % content.columns != 1
