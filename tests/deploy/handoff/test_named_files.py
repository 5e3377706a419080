"""What the texts of a bundle name lies in the bundle, with the calibration pictures and without."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.handoff import make
from deploy.handoff.bundle_zip import opened
from deploy.handoff.calibration_set import CalibrationSet, calibration_set
from deploy.handoff.outcome import HandoffOutcome
from deploy.handoff.vendors import vendors
from deploy.progress import Silent
from tests.deploy.conftest import HANDOFF_PROFILES, HANDOFF_TARGETS

MADE_LATER = "calibration/images"
"""What calibration/README.md says how to make, where it does not lie in the bundle."""

MADE_BY_READER = {"quantization.json", "Result_0/output.raw", "0000.npz", "tiles/input_list.txt"}
"""What comes back from the vendor, and what tiles.py makes of a photograph."""

TEXTS = {".md", ".txt", ".yaml", ".json", ".py", ".cache"}
EXTENSIONS = "py|onnx|txt|yaml|json|md|png|npy|raw|npz|xml|bin|param|table|cache"


@pytest.fixture(scope="module")
def without(small_build: Path, tmp_path_factory: pytest.TempPathFactory) -> HandoffOutcome:
    """The bundle for every vendor of a build whose calibration pictures stay at home."""

    def kept_at_home(*arguments: object, **options: object) -> CalibrationSet:
        found = calibration_set(*arguments, **options)  # type: ignore[arg-type]
        return replace(found, patches=())

    request = make.HandoffRequest(
        small_build,
        HANDOFF_TARGETS,
        out=tmp_path_factory.mktemp("without") / "small-handoff.zip",
        profiles=HANDOFF_PROFILES,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(make, "calibration_set", kept_at_home)
        return make.make_handoff(request, Silent())


@pytest.fixture(params=["with pictures", "without"])
def root(request: pytest.FixtureRequest, unpacked: Path, without: HandoffOutcome) -> Iterator[Path]:
    if request.param == "with pictures":
        yield unpacked
    else:
        with opened(without.path) as folder:
            yield folder


def named(path: Path) -> set[str]:
    """Return the files that a text names: ``../``, lines of lists, and what a README quotes."""
    text = path.read_text(encoding="utf-8")
    found = set(re.findall(r"\.\./[\w.@/*-]*[\w/]", text))
    if path.suffix == ".txt" and path.stem != "requirements":
        found |= {line for line in text.splitlines() if line}
    if path.suffix == ".md":
        found |= set(re.findall(rf"`([\w@-][\w.@/-]*\.(?:{EXTENSIONS}))`", text))
        found |= set(re.findall(r"^ {4,}(?:\S+/)?python (\S+\.py)\b", text, re.MULTILINE))
    placeholders = {name for name in found if re.search(r"\b[A-Z]{3,}\b", Path(name).stem)}
    return found - placeholders - MADE_BY_READER


def test_no_text_of_a_bundle_names_a_file_that_is_absent(root: Path) -> None:
    made_later = not (root / MADE_LATER).is_dir()
    assert "`images/`" in (root / "calibration" / "README.md").read_text()
    absent, asked = [], 0
    for path in sorted(root.rglob("*")):
        if path.suffix not in TEXTS:
            continue
        for name in named(path):
            asked += 1
            later = made_later and (path.parent / name).resolve() == (root / MADE_LATER).resolve()
            if not (later or any(path.parent.glob(name))):
                absent.append(f"{path.relative_to(root)}: {name}")
    assert not absent
    assert asked >= 30


@pytest.mark.parametrize("vendor", [one.name for one in vendors().values() if one.quantizes_itself])
def test_who_quantizes_by_itself_begins_with_what_needs_no_pictures(
    without: HandoffOutcome, unpacked: Path, vendor: str
) -> None:
    with opened(without.path) as folder:
        page = (folder / vendor / "README.md").read_text()
        pictures = (folder / "calibration" / "README.md").read_text()
    count = without.manifest.calibration.images.count
    commands = re.findall(
        r"^ {4}(.*(?:rknn_run|vamc compile|prepare_calibration).*)$", page, re.MULTILINE
    )
    (asks,) = [place for place, one in enumerate(commands) if "prepare_calibration" in one]
    assert asks >= 1
    assert f"{count} pictures" in page
    assert "../calibration/README.md" in page
    assert f"{count} pictures" in pictures
    assert "Ask the builder" in pictures
    assert "prepare_calibration" not in (unpacked / vendor / "README.md").read_text()


def test_the_builder_is_told_how_to_state_the_licence_of_own_weights(
    handed_over: HandoffOutcome,
) -> None:
    assert "--weights-licence TEXT" in handed_over.licence_text
    assert handed_over.record()["missing_licence"] == handed_over.licence_text
    stated = replace(handed_over.manifest, weights_licence="mine")
    assert replace(handed_over, manifest=stated).licence_text == ""


def test_the_builder_is_told_once_what_the_vendor_has_to_be_sent(
    without: HandoffOutcome, handed_over: HandoffOutcome
) -> None:
    assert "rknn and vacc quantize by themselves" in without.pictures_text
    assert "--include-images --calib DIR" in without.pictures_text
    assert without.record()["missing_pictures"] == without.pictures_text
    assert handed_over.pictures_text == ""
    others = replace(
        without.manifest,
        vendors=tuple(one for one in without.manifest.vendors if not one.quantizes_itself),
    )
    assert replace(without, manifest=others).pictures_text == ""
