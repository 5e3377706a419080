"""What every vendor is told: when it was checked, and commands that its tools of today take."""

import datetime
import re
from pathlib import Path

import onnx
import pytest

from deploy.handoff.vendors import vendors


@pytest.fixture(params=sorted(vendors()))
def page(request: pytest.FixtureRequest, unpacked: Path) -> str:
    return (unpacked / request.param / "README.md").read_text(encoding="utf-8")


def test_it_ends_with_what_it_was_checked_against_and_when(page: str) -> None:
    _, _, checked = page.rpartition("\n## ")
    found = re.match(r"Checked\n\n(\d{4}-\d{2}-\d{2})(?:: |, against )\S", checked)
    assert found is not None, checked
    assert (
        datetime.date.fromisoformat(found[1]) <= datetime.datetime.now(datetime.timezone.utc).date()
    )


def test_processors_are_told_by_their_flags_and_not_by_their_age(page: str) -> None:
    for paragraph in page.split("\n\n"):
        if "without VNNI" in paragraph:
            assert "lscpu | grep -i vnni" in " ".join(paragraph.split())


def test_tensorrt_11_is_given_no_option_that_it_has_dropped(unpacked: Path) -> None:
    text = (unpacked / "tensorrt" / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| 11")]
    assert "trtexec --onnx=" in row
    assert not re.search(r"--(int8|fp16|calib|stronglyTyped)\b", row)


def test_a_line_of_the_ncnn_table_that_is_switched_off_is_that_of_the_input(
    unpacked: Path,
) -> None:
    text = (unpacked / "ncnn" / "README.md").read_text(encoding="utf-8")
    assert "`#` before the line\n`NAME` (the scale of its input" in text
    (table,) = (unpacked / "ncnn").glob("*.table")
    names = [line.split()[0] for line in table.read_text().splitlines()]
    assert {f"{name}_param_0" for name in names if not name.endswith("_param_0")} <= set(names)


WRITES = re.compile(r"(?:--out|--output_dir|--output_path|--output_dlc|--saveEngine)[= ](\S+)")


def test_no_two_commands_write_to_one_place(unpacked: Path) -> None:
    """Whoever follows a page line by line keeps what every route made."""
    seen = 0
    for path in unpacked.glob("*/README.md"):
        text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
        places = [
            (found[1], line.strip())
            for line in text.splitlines()
            if line.startswith("    ")
            for found in WRITES.finditer(line)
        ]
        seen += len(places)
        names = [place for place, _ in places]
        assert sorted({*names}) == sorted(names), (path.parent.name, places)
    assert seen > 10


def test_no_float_file_of_a_vendor_s_folder_is_named_as_if_it_were_of_8_bits(
    unpacked: Path,
) -> None:
    files = [*unpacked.glob("*/*.onnx")]
    assert any("w8a8" in path.name for path in files)
    for path in files:
        integers = any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)
        named_float = "fp32" in path.name or "fp16" in path.name
        assert integers != named_float, path


def test_what_was_checked_is_not_said_of_this_bundle(unpacked: Path) -> None:
    for path in (unpacked / name / "README.md" for name in vendors()):
        (checked,) = re.findall(r"## Checked\n+(.*)", path.read_text("utf-8"), re.DOTALL)
        words = " ".join(checked.split())
        ran = re.search(r"\bran\b|built and simulated|were run by", words)
        assert not ran or re.search(r"other networks|of this kind", words), (path, words)
