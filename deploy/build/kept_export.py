"""Keep the exported float model, and what it was proven on, until the build is whole.

An export makes the float model, and proves it against the original network. A build that is taken
up again finds it in the unfinished build, where it is of the same weights, size and code.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from calib.archive import content_digest, read_archive, write_archive
from calib.arrays import AnyArray, Float32
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError, GraphError
from calib.records import Count, Sha256, decode, encode
from deploy.artifacts.files import serialize
from deploy.artifacts.onnx_files import load_model
from deploy.artifacts.own_code import code_digest
from deploy.build.request import BuildRequest
from deploy.network.architecture import OUTPUT_NAME
from deploy.network.exported import ExportedModel
from deploy.network.network import Network
from quant.passes.equivalence import Equivalence, Probe

EXPORT_NAME = "export.kept"


@dataclass(frozen=True)
class ExportFile:
    """What stands in the file of an export beside its arrays.

    Attributes:
        made_from: digest of all that the export follows from.
        probes: how many inputs it was proven on.
        notes: what was seen on the way.
        arrays_sha256: digest of the arrays.
    """

    made_from: Sha256
    probes: Count
    notes: tuple[str, ...]
    arrays_sha256: Sha256


def keep_export(
    stage: Path, network: Network, request: BuildRequest, exported: ExportedModel
) -> None:
    """Write an export into an unfinished build.

    Raises:
        UsageError: it cannot be written.
    """
    agreement = exported.against_original
    arrays: dict[str, AnyArray] = {
        "model": np.frombuffer(serialize(exported.model), np.uint8),
        "agreement": np.array([agreement.psnr_db, agreement.max_abs_error], np.float64),
    }
    pairs = zip(exported.probes, exported.outputs, exported.original_outputs, strict=True)
    for place, (probe, output, original) in enumerate(pairs):
        arrays |= {
            f"input-{place}": probe.values,
            f"output-{place}": output,
            f"original-{place}": original,
        }
    digest = content_digest(arrays)
    record = ExportFile(_made_from(network, request), len(exported.probes), exported.notes, digest)
    write_archive(stage / EXPORT_NAME, arrays, record=encode(record), compress=False)


def find_export(stage: Path, network: Network, request: BuildRequest) -> ExportedModel | None:
    """Return the export that an unfinished build holds, if it is of the same network."""
    path = stage / EXPORT_NAME
    if not path.is_file():
        return None
    try:
        arrays, content = read_archive(path)
        record = decode(content or b"", ExportFile, path.name, CalibrationError, "build again")
        if (record.made_from, record.arrays_sha256) != (
            _made_from(network, request),
            content_digest(arrays),
        ):
            return None
        model = load_model(arrays["model"].tobytes(), path.name)
    except (CalibrationError, GraphError):
        return None
    psnr_db, max_abs_error = map(float, arrays["agreement"])

    def kept(kind: str) -> tuple[Float32, ...]:
        return tuple(arrays[f"{kind}-{place}"] for place in range(record.probes))

    given = [{OUTPUT_NAME: output} for output in kept("output")]
    return ExportedModel(
        model,
        Equivalence(psnr_db, max_abs_error, record.probes),
        tuple(map(Probe, kept("input"), given)),
        kept("original"),
        record.notes,
    )


def _made_from(network: Network, request: BuildRequest) -> str:
    made_from = [
        asdict(network.made_from),
        network.description,
        asdict(request.tile.size),
        list(request.lowering),
        code_digest(),
    ]
    return sha256_bytes(canonical_json(made_from))
