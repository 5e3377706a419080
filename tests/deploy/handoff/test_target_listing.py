"""What ``esrdeploy targets`` and docs/targets.md say is what targets and vendors are."""

import json
from pathlib import Path

import pytest

from deploy.handoff.target_listing import listing, markdown
from deploy.handoff.vendors import find_vendor, vendors
from deploy.simulate.toolchains import toolchains
from quant.passes.lowering.catalogue import LOWERINGS
from quant.plan import QuantOptions
from quant.planner import part_precisions
from quant.targets import ALIASES, PROFILES, find_profile
from tests.deploy.builds import run

PAGE = Path(__file__).parents[3] / "docs" / "targets.md"


def test_the_page_is_the_listing() -> None:
    assert PAGE.read_text() == markdown(listing())


def test_every_chip_has_a_page_which_the_listing_and_the_readme_link() -> None:
    pages = {path.stem: path.read_text() for path in (PAGE.parent / "chips").glob("*.md")}
    readme = (PAGE.parents[1] / "README.md").read_text()
    for name in pages:
        assert f"](chips/{name}.md)" in PAGE.read_text(), name
        assert f"](docs/chips/{name}.md)" in readme, name
    text = "\n".join(pages.values())
    for vendor in vendors().values():
        assert any(f"--vendor {word} " in text for word in (vendor.name, *vendor.aliases)), vendor
    for page in pages.values():
        assert "\n**Tried here:** " in page


def test_every_toolchain_is_shown_on_a_page_of_a_chip() -> None:
    text = "".join(path.read_text() for path in (PAGE.parent / "chips").glob("*.md"))
    assert [name for name in toolchains() if f"simulate --target {name} " not in text] == []


def test_every_precision_listed_is_taken_and_the_first_is_the_default() -> None:
    for row in listing().targets:
        profile = PROFILES[row.target]
        default = part_precisions(profile, QuantOptions())
        for part in ("head", "trunk", "tail"):
            offered = getattr(row, part)
            assert offered[0] == default[part]
            for precision in offered:
                asked = part_precisions(profile, QuantOptions(**{part: precision}))
                assert asked[part] == precision


def test_all_are_listed_with_what_they_are_for() -> None:
    shown = listing()
    assert {row.target for row in shown.targets} == set(PROFILES)
    assert {row.vendor for row in shown.vendors} == set(vendors())
    assert all(row.choose and row.summary for row in shown.targets)
    assert {name for row in shown.vendors for name in row.targets} <= set(PROFILES)


@pytest.mark.parametrize("alias", [*ALIASES, "vastai"])
def test_a_maker_stands_for_its_target_and_its_vendor(alias: str) -> None:
    if alias in ALIASES:
        assert find_profile(alias.upper()) is PROFILES[ALIASES[alias]]
    vendor = find_vendor(alias)
    assert vendor.name != alias
    assert ALIASES.get(alias) in {None, *vendor.profiles}


def test_the_command_prints_all_tables() -> None:
    result = run("targets", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == "esrdeploy.cli.targets/2"
    shown = " ".join(run("targets").stdout.split())
    rows = (*document["vendors"], *document["targets"], *document["lowerings"])
    for row in rows:
        assert row.get("vendor", row.get("target", row.get("lowering"))) in shown
    assert len(rows) == len(vendors()) + len(PROFILES) + len(LOWERINGS)
