"""The page tells of each toolchain that takes minutes how many, in its own figures."""

from pathlib import Path

from deploy.simulate.toolchains import toolchains

PAGE = (Path(__file__).parents[3] / "docs/simulate.md").read_text("utf-8")
GMACS = {"animevideov3": 10.145, "x4plus-anime-6b": 93.494, "x4plus": 293.713}  # at 128x128


def test_the_page_says_how_long_a_picture_takes_in_slow_toolchains() -> None:
    rows = PAGE[PAGE.index("| `--target` | animevideov3 |") :].partition("\n\n")[0].splitlines()
    assert rows[0].strip("| ").split(" | ")[1:] == [*GMACS]
    told = {
        cells[0].strip("`"): [float(cell.removesuffix(" min")) for cell in cells[1:]]
        for cells in (row.strip("| ").split(" | ") for row in rows[2:])
    }
    slow = {
        name: [float(f"{rate * gmacs / 60:.2g}") for gmacs in GMACS.values()]
        for name, toolchain in toolchains().items()
        if (rate := toolchain.seconds_per_gmac) is not None
    }
    assert len(slow) > 1
    assert told == slow
