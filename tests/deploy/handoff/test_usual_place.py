"""A bundle is put beside its build, and takes no other vendor's away."""

import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from calib.errors import UsageError
from deploy.handoff.golden import golden_pictures
from deploy.handoff.make import HandoffOutcome, open_build
from deploy.handoff.usual_place import usual_path, usual_place
from deploy.handoff.vendors import vendors


def test_a_bundle_for_other_vendors_is_not_written_over(
    small_build: Path, handed_over: HandoffOutcome, tmp_path: Path
) -> None:
    build = replace(open_build(small_build), folder=tmp_path / small_build.name)
    held = {vendor.name for vendor in handed_over.manifest.vendors}
    some = min(held)
    pictures = golden_pictures(build, None, len(handed_over.manifest.golden))
    place = usual_place(build, {some}, pictures)
    assert place == tmp_path / f"{build.manifest.model}-{some}-handoff.zip"
    shutil.copyfile(handed_over.path, place)  # and named as if it were for one
    with pytest.raises(UsageError, match=r"is a bundle for .*--out.*--vendor") as refused:
        usual_place(build, {some}, pictures)
    assert all(name in str(refused.value) for name in held - {some})
    place.write_bytes(b"no bundle")
    assert usual_place(build, {some}, pictures) == place


def test_every_choice_of_vendors_has_a_place_of_its_own(small_build: Path) -> None:
    build = open_build(small_build)
    every = sorted(vendors())
    chosen = [some for size in range(1, len(every) + 1) for some in combinations(every, size)]
    places = {usual_path(build.folder, build.manifest, some) for some in chosen}
    assert len(places) == len(chosen) == 2 ** len(every) - 1
    for some in chosen:
        assert usual_path(build.folder, build.manifest, some[::-1]) in places
        assert all(name in usual_path(build.folder, build.manifest, some).name for name in some)


def test_a_bundle_with_other_golden_vectors_is_not_written_over(
    small_build: Path, handed_over: HandoffOutcome, tmp_path: Path
) -> None:
    build = replace(open_build(small_build), folder=tmp_path / small_build.name)
    held = {vendor.name for vendor in handed_over.manifest.vendors}
    pictures = golden_pictures(build, None, len(handed_over.manifest.golden))
    shutil.copyfile(handed_over.path, usual_place(build, held, pictures))
    with pytest.raises(UsageError, match=r"golden vectors of .*--out"):
        usual_place(build, held, pictures[::-1])
