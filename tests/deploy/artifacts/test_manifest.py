import json
from dataclasses import replace
from pathlib import Path

import pytest

from calib.errors import VerificationError
from calib.tile import Tile
from deploy.artifacts.build_options import BuildOptions
from deploy.artifacts.files import Artifact
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.weights_record import WeightsRecord


def manifest() -> Manifest:
    return Manifest(
        model="tiny",
        network=NetworkRecord("a network", None, (), 4, 1, 1, Tile()),
        weights=WeightsRecord("file", "0" * 64, {}, None, None),
        calibration=None,
        options=BuildOptions("fp32"),
        artifacts=(
            Artifact("tiny-fp32.onnx", "1" * 64, 10, "fp32", None, 17),
            Artifact("parity.json", "2" * 64, 10),
        ),
        versions={"esrdeploy": "0"},
    )


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest().content())
    assert read_manifest(path) == manifest()


def test_equal_manifests_have_equal_bytes() -> None:
    assert manifest().content() == manifest().content()


def spoiled(**changes: object) -> bytes:
    fields = json.loads(manifest().content())
    fields.update(changes)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00not json", "manifest.json is not JSON"),
        (b"[]", r"manifest.json is \[\], expected an object; build again"),
        (spoiled(schema_version=4, network={}), "json: schema_version is 4, expected 13; build"),
        (spoiled(surprise=1), "json: surprise is not expected"),
        (spoiled(artifacts=[{"path": "a"}]), r"json: artifacts\[0\].sha256 is missing and 1 more"),
        (
            spoiled(artifacts=[{"path": "../a", "sha256": "0" * 64, "size_bytes": 0}]),
            r'artifacts\[0\].path is "../a", expected a plain name',
        ),
    ],
    ids=["binary", "list", "schema", "extra field", "short artifact", "outside"],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=message):
        read_manifest(path)


def test_a_manifest_without_a_float_model_judges_nothing() -> None:
    empty = replace(manifest(), artifacts=())
    with pytest.raises(VerificationError, match="no fp32 model"):
        _ = empty.float_artifact
