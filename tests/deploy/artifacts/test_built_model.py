"""A file of a build is read only where it is the one that the manifest names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calib.errors import VerificationError
from deploy.artifacts.built_model import BuiltModel
from deploy.upscale.built_file import BuiltFile
from tests.deploy.manifests import manifest_of

READERS = {
    "the check": BuiltModel.require_named,
    "read": BuiltModel.read,
    "run": BuiltModel.runner,
    "enlarge": BuiltFile.model,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("content", "found"),
    [(b"other", "of 5 bytes, the manifest records"), (None, "cannot be read: No such file")],
    ids=["changed", "missing"],
)
def test_who_reads_another_file_is_told_what_was_found(
    reader: Callable[[BuiltFile], object], content: bytes | None, found: str, tmp_path: Path
) -> None:
    manifest = manifest_of("m", [("fp32", None)])
    file = BuiltFile(tmp_path, manifest, manifest.float_artifact, "ort")
    assert (file.path, file.scale) == (tmp_path / "m-fp32.onnx", 4)
    file.path.write_bytes(b"")
    file.require_named()
    file.path.unlink()
    if content is not None:
        file.path.write_bytes(content)
    with pytest.raises(VerificationError) as refused:
        reader(file)
    said = str(refused.value)
    assert said.startswith(f"{file.path} is not the file that the manifest names: ")
    assert found in said
    assert said.endswith(f"; run 'esrdeploy verify {tmp_path}'")
