"""Keep int8 models that were made for a bundle, so that the next bundle need not make them again.

GPTQ takes minutes on a large network, and one build is often handed to several vendors. Kept is
what follows from the float model, the calibration table, the options, the target and the very code
that made it; any of them changed is another name. A file that is damaged is made anew.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from calib.archive import read_archive, write_archive
from calib.arrays import AnyArray
from calib.digest import canonical_json, sha256_bytes
from calib.errors import EsrdeployError
from calib.graph import GraphIndex
from calib.user_cache import user_cache
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import serialize
from deploy.artifacts.manifest import library_versions
from deploy.build.quantize import QuantizedModel
from quant.passes.prepared import prepare
from quant.plan import QuantOptions, QuantPlan

MOST_KEPT = 16


def kept_folder() -> Path:
    """Return where this user's int8 models are kept."""
    return user_cache("int8")


@dataclass(frozen=True)
class KeptModels:
    """Int8 models that were made before.

    Attributes:
        folder: where they lie; made when the first is put there.
        made_by: digest of the code that makes them.
    """

    folder: Path
    made_by: str

    def find(
        self, build: Build, graph: GraphIndex, profile: str, options: QuantOptions
    ) -> QuantizedModel | None:
        """Return the int8 model of a build's float graph for a profile, if it was kept whole."""
        path = self._path(build, graph, profile, options)
        if not path.is_file():
            return None
        try:
            arrays, record = read_archive(path)
            model = onnx.load_model_from_string(arrays["model"].tobytes())
            plan = QuantPlan.parse(record or b"", path.name)
            return QuantizedModel(model, prepare(graph, plan))
        except (EsrdeployError, KeyError, DecodeError):
            return None

    def keep(
        self,
        build: Build,
        graph: GraphIndex,
        profile: str,
        options: QuantOptions,
        made: QuantizedModel,
    ) -> None:
        """Keep a model for the next time; where nothing can be written, it is not kept."""
        content: Mapping[str, AnyArray] = {"model": np.frombuffer(serialize(made.model), np.uint8)}
        with suppress(EsrdeployError, OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(build, graph, profile, options)
            write_archive(path, content, record=made.plan.content(), compress=True)
            newest = sorted(self.folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
            for old in newest[:-MOST_KEPT]:
                old.unlink(missing_ok=True)

    def _path(self, build: Build, graph: GraphIndex, profile: str, options: QuantOptions) -> Path:
        assert build.table is not None  # whoever makes a model has asked for it
        made_from = {
            "graph": graph.digest,
            "table": build.table.digest,
            "quantization": asdict(options),
            "target": profile,
            "made by": self.made_by,
            "versions": library_versions(),
        }
        return self.folder / f"{sha256_bytes(canonical_json(made_from))}.npz"
