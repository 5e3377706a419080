"""The commands that a build or a bundle ends with run as they stand, and lose no chip."""

import re
import shlex
import zipfile
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from calib.images import write_image
from calib.tile import Tile
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.cli.next_commands import after_handoff, next_commands, takers_of
from deploy.handoff.bundle_manifest import VendorRecord
from deploy.handoff.make import HandoffOutcome
from deploy.handoff.usual_place import bundle_at, usual_path
from deploy.handoff.vendor_limits import takes
from deploy.handoff.vendors import find_vendor, vendor_name, vendors
from quant.targets import ALIASES, PROFILES, find_profile
from tests.deploy.builds import copied, run

CHIPS = (*PROFILES, *ALIASES)


def asked_vendors(line: str) -> set[str]:
    words = shlex.split(line, comments=True)
    return {find_vendor(word).name for option, word in pairwise(words) if option == "--vendor"}


@pytest.fixture(scope="module")
def manifest(small_build: Path) -> Manifest:
    return read_manifest(small_build / "manifest.json")


@pytest.fixture
def folder(small_build: Path, tmp_path: Path) -> Path:
    return copied(small_build, tmp_path / "small")


def with_targets(manifest: Manifest, names: set[str]) -> Manifest:
    how = manifest.options.targets["openvino"]
    return replace(
        manifest, options=replace(manifest.options, targets=dict.fromkeys(sorted(names), how))
    )


def lay_bundle(
    folder: Path, manifest: Manifest, outcome: HandoffOutcome, held: set[str], named: set[str]
) -> None:
    """Lay a bundle for some vendors, its manifest alone, where one is looked for."""
    records = tuple(VendorRecord(name, "qnn", False) for name in sorted(held))
    content = replace(outcome.manifest, vendors=records).content()
    with zipfile.ZipFile(usual_path(folder, manifest, named), "w") as archive:
        archive.writestr("manifest.json", content)


@pytest.mark.parametrize(
    "before", [(), *combinations(("ort", "qnn", "tensorrt"), 1), ("qnn", "ort")]
)
@pytest.mark.parametrize("chips", [*combinations(CHIPS, 1), *combinations(CHIPS, 2)])
def test_no_target_that_was_built_and_no_chip_that_was_named_is_lost(
    manifest: Manifest, chips: tuple[str, ...], before: tuple[str, ...]
) -> None:
    targets = {*before, *(find_profile(chip).name for chip in chips)}
    words, _ = takers_of(with_targets(manifest, targets), chips, before)
    made = {chip for chip in chips if chip in ALIASES}
    assert {vendor_name(chip) for chip in made} <= {*words}
    assert made - {*words.values()} == set() or len(words) < len(chips)
    for target in targets:
        assert any(target in find_vendor(name).profiles for name in words)
    for target in {*chips, *before} & {*PROFILES}:
        namesake = target.partition("-")[0]
        assert namesake not in vendors() or namesake in words


NETWORKS = [{}, {"tile": Tile(batch=2)}, {"tile": Tile(channels=1)}, {"output": "map"}]


@pytest.mark.parametrize("network", NETWORKS, ids=["usual", "batch", "gray", "map"])
@pytest.mark.parametrize(
    "targets", [names for count in range(1, 7) for names in combinations(PROFILES, count)]
)
def test_every_vendor_that_takes_a_file_is_proposed_or_named(
    folder: Path,
    manifest: Manifest,
    targets: tuple[str, ...],
    network: dict[str, Tile],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tile, "named", lambda _, name: name)  # as the files in the folder are
    made = with_targets(manifest, {*targets})
    made = replace(made, network=replace(made.network, **network))
    for chips in ((), *combinations([name for name in CHIPS if name in targets], 1)):
        line = next_commands(folder, made, None, None, chips=chips)[-1]
        words, _, remark = line.partition("  # ")
        asked = asked_vendors(words) if words.startswith("esrdeploy handoff") else set()
        named = {*re.findall(r"\w+", remark)} & {*vendors()}
        assert not asked & named
        takers = {
            name
            for name, vendor in vendors().items()
            if takes(vendor, made) and {*vendor.profiles} & {*targets}
        }
        assert asked | named == takers, line


def test_a_target_that_its_maker_named_is_for_that_maker_alone(manifest: Manifest) -> None:
    for chip, target in ALIASES.items():
        asked, others = takers_of(with_targets(manifest, {target}), [chip])
        assert (asked, others) == ({vendor_name(chip): chip}, [])


@pytest.mark.parametrize("held", [*combinations(sorted(vendors()), 1), ("ncnn", "qnn", "vacc")])
@pytest.mark.parametrize("chips", [("qualcomm",), ("rockchip", "ort"), ("openvino", "qnn-w8a16")])
def test_a_bundle_for_others_stays_and_is_no_matter(
    folder: Path, manifest: Manifest, handed_over: HandoffOutcome, chips, held
) -> None:
    made = with_targets(manifest, {find_profile(chip).name for chip in chips})
    lay_bundle(folder, made, handed_over, {*held}, {*held})
    line = next_commands(folder, made, None, None, chips=chips)[-1]
    asked = asked_vendors(line)
    assert asked == {*takers_of(made, chips)[0]}
    assert usual_path(folder, made, asked).exists() == (asked == {*held})
    assert all(f"--vendor {chip}" in line for chip in chips if chip in ALIASES)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("network", [{"tile": Tile(batch=2)}, {"tile": Tile(channels=1)}])
def test_a_bundle_is_named_for_nobody_who_does_not_take_the_build(
    folder: Path,
    manifest: Manifest,
    chip: str,
    network: dict[str, Tile],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = with_targets(manifest, {find_profile(chip).name})
    # A batch stands in the name of a build; this one keeps the name of the files in the folder.
    monkeypatch.setattr(Tile, "named", lambda _, name: name)
    made = replace(made, network=replace(made.network, **network))
    lines = next_commands(folder, made, None, None, chips=[chip])
    packs = [line for line in lines if line.startswith("esrdeploy handoff")]
    asked, others = takers_of(made, [chip])
    assert [vendor for line in packs for vendor in asked_vendors(line)] == [*asked]
    assert all(takes(find_vendor(name), made) for name in (*asked, *others))


@pytest.mark.parametrize("there", ["nothing", "for others", "of other golden vectors", "a folder"])
def test_the_line_runs_as_it_stands(
    folder: Path, manifest: Manifest, handed_over: HandoffOutcome, there: str
) -> None:
    usual = usual_path(folder, manifest, {"openvino"})
    if there == "a folder":
        usual.mkdir()
    elif there != "nothing":
        golden = handed_over.manifest.golden[:: 1 if there == "for others" else -1]
        outcome = replace(handed_over, manifest=replace(handed_over.manifest, golden=golden))
        held = {"vacc"} if there == "for others" else {"openvino"}
        lay_bundle(folder, manifest, outcome, held, {"openvino"})
    line = next_commands(folder, manifest, None, None, chips=["intel"])[-1]
    name, *words = shlex.split(line, comments=True)
    assert name == "esrdeploy"
    result = run(*words)
    assert result.exit_code == 0, (line, result.output)
    made = usual_path(folder, manifest, {"openvino"}, 1 if there == "nothing" else 2)
    assert (f"--out {made}" in line) == (there != "nothing")
    bundle = bundle_at(made)
    assert bundle is not None
    assert [vendor.name for vendor in bundle.vendors] == ["openvino"]
    drawn = [vector.sha256 for vector in bundle.golden]
    assert drawn == [vector.sha256 for vector in handed_over.manifest.golden]


def test_a_build_for_cpus_alone_is_handed_over_for_browsers(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "tiny")
    made = read_manifest(folder / "manifest.json")
    assert {*made.options.targets} == {"ort"}
    line = next_commands(folder, made, None, None)[-1]
    assert line == f"esrdeploy handoff --vendor web {folder}"
    result = run(*shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    bundle = bundle_at(usual_path(folder, made, {"web"}))
    assert bundle is not None
    assert [vendor.name for vendor in bundle.vendors] == ["web"]


@pytest.mark.parametrize(
    ("vendors", "option", "whose"),
    [(["qnn"], "", ""), (["qnn", "rknn"], " --vendor qnn", " from qnn; likewise rknn")],
)
def test_a_bundle_ends_with_the_commands_that_come_next(
    vendors: list[str], option: str, whose: str
) -> None:
    check, judge = after_handoff(Path("a b.zip"), vendors)
    assert check == "esrdeploy handoff --check 'a b.zip'"
    words = f"esrdeploy verify --returned OUTPUTS 'a b.zip'{option}"
    assert judge == f"{words}  # OUTPUTS: the folder that comes back{whose}"


@pytest.mark.parametrize("place", ["dist", "builds/of mine"])
def test_every_line_names_the_build_alike_and_as_it_stands(
    small_build: Path, manifest: Manifest, tmp_path: Path, monkeypatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = copied(small_build, Path(place) / "small")
    lines = next_commands(folder, manifest, None, Path("photos"), reported=False, chips=["intel"])
    words = [shlex.split(line, comments=True) for line in lines]
    assert [line[1] for line in words] == ["verify", "report", "compare", "bench", "handoff"]
    assert all(line.count(str(folder)) == 1 for line in words), lines
    Path("photos").mkdir()
    write_image(Path("photos") / "one.png", np.zeros((20, 20, 3), np.uint8))
    (_, *compare), (_, *bench) = words[2:4]
    for command in (compare, [*bench, "--rounds", "1", "--backend", "ort", "--tile", "32"]):
        result = run(*command)
        assert result.exit_code == 0, result.output


def test_who_may_have_run_a_file_with_our_scales_is_told_how_to_judge_it() -> None:
    _, plain = after_handoff(Path("a.zip"), ["qnn"])
    assert "--scales" not in plain
    _, judge = after_handoff(Path("a.zip"), ["qnn", "rknn"], scaled_by_us=["rknn"])
    assert judge.endswith("; with --scales ours where rknn ran a file with our scales")
