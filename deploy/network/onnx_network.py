"""Make a network of somebody's ONNX file; its original is that file in onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import numpy_helper

from calib.arrays import Float32
from calib.colours import Channels
from calib.tile import Tile
from deploy.artifacts.weights_record import OnnxFileRecord, WeightsRecord
from deploy.network.exported import ExportedModel
from deploy.network.network import Network, OriginalKind
from deploy.network.onnx_file.export import export_onnx
from deploy.network.onnx_file.likeness import scale_of
from deploy.network.onnx_file.original import original_runner
from deploy.network.onnx_file.read import OnnxFile
from deploy.runtime.runner import Runner


@dataclass(frozen=True)
class OnnxNetwork(Network):
    """A network that came as an ONNX file.

    Attributes:
        file: what is in it.
    """

    file: OnnxFile

    @property
    def description(self) -> str:
        """What the file says of itself: operators are all that is known."""
        convolutions = sum(node.op_type == "Conv" for node in self.file.model.graph.node)
        return f"ONNX graph of {len(self.file.model.graph.node)} nodes, {convolutions} convolutions"

    @property
    def channels(self) -> Channels:
        """Those that its input has; three where the file does not say."""
        return self.file.channels

    @property
    def original_kind(self) -> OriginalKind:
        """The file itself."""
        return "onnx"

    @property
    def made_from(self) -> WeightsRecord:
        """The file, with the names of its ends."""
        file = self.file
        ends = OnnxFileRecord(file.taken.name, file.given.name, file.taken.dtype, file.opset)
        return WeightsRecord(
            f"file {file.name}", file.sha256, {file.name: file.sha256}, None, None, ends
        )

    @property
    def parameters(self) -> Mapping[str, Float32]:
        """The file's own floating-point initializers, in float32."""
        values = {t.name: numpy_helper.to_array(t) for t in self.file.model.graph.initializer}
        return {
            name: value.astype(np.float32)
            for name, value in values.items()
            if value.dtype in {np.dtype(np.float32), np.dtype(np.float16)}
        }

    def require_fitting(self, tile: Tile) -> None:
        """Refuse another size than the file's own, where that is fixed.

        Raises:
            UsageError: it is another.
        """
        self.file.require_fitting(tile)

    def scale_at(self, tile: Tile) -> int:
        """Return by how much the file enlarges a flat picture of that size.

        Raises:
            GraphError: it cannot take it, or draws no enlarged picture of it.
        """
        flat = np.full((1, *tile.shape[1:]), 0.5, np.float32)
        return scale_of(flat, self.runner()(flat), self.file.name)

    def export(self, pictures: Sequence[Float32]) -> ExportedModel:
        """Make the float model of the file, and prove it against the file.

        Raises:
            GraphError: the file draws no enlarged picture, or the result draws another.
        """
        return export_onnx(self.file, pictures)

    def runner(self) -> Runner:
        """Return the file in onnxruntime, in float32."""
        return original_runner(self.file)
