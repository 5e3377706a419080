"""A bundle says in standard forms what it was made of, the same each time."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from calib.digest import sha256_file
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.supply_chain import (
    PROVENANCE_NAME,
    SBOM_NAME,
    installed_libraries,
    write_provenance,
    write_sbom,
)
from tests.deploy.builds import run


@pytest.fixture(scope="module")
def bundle(small_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("told") / "small-handoff.zip"
    words = ["handoff", "--vendor", "vacc", small_build, "--out", path, "--sbom", "--provenance"]
    made = run(*words)
    assert made.exit_code == 0, made.output
    return path


def test_a_bundle_says_what_it_was_made_of(bundle: Path, vacc_only: Path, tmp_path: Path) -> None:
    with opened(bundle) as root:
        manifest = read_contents(root)
        files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert {SBOM_NAME, PROVENANCE_NAME} < {file.path for file in manifest.files}
        statement = json.loads((root / PROVENANCE_NAME).read_bytes())
        subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
        assert {*subjects} == files - {"manifest.json", PROVENANCE_NAME}
        assert subjects == {name: sha256_file(root / name) for name in subjects}
        sbom = json.loads((root / SBOM_NAME).read_bytes())
        with opened(vacc_only) as plain:  # of the same files, made again
            write_sbom(tmp_path, read_contents(plain))
            write_provenance(tmp_path, read_contents(plain))
        assert (tmp_path / SBOM_NAME).read_bytes() == (root / SBOM_NAME).read_bytes()
    inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    digests = {item["digest"]["sha256"] for item in inputs if "digest" in item}
    assert digests == {*manifest.weights.files.values(), manifest.calibration.images.digest}
    named = {item["name"]: item["version"] for item in sbom["components"]}
    used = {name: found for name, found in manifest.versions.items() if name in named}
    assert len(used) > 4
    assert used == {name: named[name] for name in used}
    assert sbom["metadata"]["component"]["hashes"][0]["content"] == manifest.weights.sha256


def test_libraries_are_found_however_far_down() -> None:
    found = installed_libraries()
    assert found["numpy"] == version("numpy")
    assert "markupsafe" in found, "what jinja2 needs"
    assert "pytest" not in found, "an extra's"


def test_the_bill_of_materials_follows_its_schema(bundle: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema").SchemaVersion.V1_6
    with opened(bundle) as root:
        text = (root / SBOM_NAME).read_text()
    try:
        assert validation.JsonStrictValidator(schema).validate_str(text) is None
    except pytest.importorskip("cyclonedx.exception").MissingOptionalDependencyException as error:
        pytest.skip(str(error))


def test_the_bundle_is_a_good_one(bundle: Path) -> None:
    checked = run("handoff", "--check", bundle)
    assert checked.exit_code == 0, checked.output
