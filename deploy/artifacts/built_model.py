"""Read one model of a build, which has to be the file that the manifest names."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from calib.errors import VerificationError
from calib.tile import Tile
from deploy.artifacts.check import check_digest
from deploy.artifacts.files import Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.onnx_files import read_model
from deploy.runtime.runner import Runner
from quant.passes.rebatch import with_batch


@dataclass(frozen=True)
class BuiltModel:
    """One ONNX file of a build.

    Attributes:
        folder: of the build.
        manifest: that names it.
        artifact: the file.
    """

    folder: Path
    manifest: Manifest
    artifact: Artifact

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.artifact.path

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return self.manifest.network.scale

    @property
    def tile(self) -> Tile:
        """The fixed input of the file."""
        return self.manifest.network.tile

    def require_named(self) -> None:
        """Make sure that the file is the one that the manifest names.

        Raises:
            VerificationError: it is not; the message says what was found.
        """
        item = self.artifact
        check = check_digest(self.folder, item.path, item.sha256, item.size_bytes)
        if check.status != "passed":
            raise VerificationError(
                f"{self.path} is not the file that the manifest names: {check.detail}; run "
                f"'esrdeploy verify {self.folder}'"
            )

    def read(self) -> onnx.ModelProto:
        """Return what the file computes, for one picture at a time: so none is drawn twice.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        self.require_named()
        return with_batch(read_model(self.path), 1)

    def runner(self) -> Runner:
        """Return what the file draws, run as it is judged.

        Raises:
            VerificationError: it is not the file that the manifest names.
        """
        return judged_runner(self.read(), self.artifact.precision)
