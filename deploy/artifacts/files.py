"""Name, write and record the files of a build, each with its digest."""

import re
from dataclasses import dataclass
from pathlib import Path

import onnx

from calib.digest import sha256_bytes, sha256_file
from calib.errors import GraphError
from calib.files import write_atomically
from calib.records import Count, PlainName, Sha256
from deploy.artifacts.precision import ModelPrecision

MANIFEST_NAME = "manifest.json"
PARITY_NAME = "parity.json"
REPORT_NAME = "report.html"
TABLE_NAME = "calibration.json"
TABLE_ARRAYS_NAME = "calibration.npz"
SIGNATURE_NAME = "manifest.dsse.json"
UNFINISHED_NAME = ".unfinished"
"""Folder within a build's folder that holds what is made of the next one, until that is whole."""

_SINGLE_NAMES = frozenset({PARITY_NAME, TABLE_NAME, TABLE_ARRAYS_NAME})
_NAMES_OF_MODELS = re.compile(
    r".+-(fp32|fp16|int8-[a-z0-9-]+)\.onnx|.+-int8-[a-z0-9-]+\.(plan|sensitivity)\.json"
)


@dataclass(frozen=True)
class Artifact:
    """One file of a build.

    Attributes:
        path: file name relative to the manifest's folder, POSIX.
        sha256: digest of the file's content.
        size_bytes: length of the file.
        precision: of an ONNX model; ``None`` for a record such as the calibration table.
        target: target profile a quantized model follows, or ``None``.
        opset: version of the ``ai.onnx`` operator set, or ``None`` for a record.
    """

    path: PlainName
    sha256: Sha256
    size_bytes: Count
    precision: ModelPrecision | None = None
    target: str | None = None
    opset: Count | None = None


def is_build_file(name: str) -> bool:
    """Tell whether a file is of the kind that manifests name, by its name.

    >>> [is_build_file(name) for name in ("a-int8-qnn.onnx", "parity.json", "report.html")]
    [True, True, False]
    """
    return name in _SINGLE_NAMES or _NAMES_OF_MODELS.fullmatch(name) is not None


def build_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the files in ``folder`` that are of a build's kind, sorted."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return tuple(name for name in names if is_build_file(name))


def model_file_name(model: str, precision: ModelPrecision, target: str | None = None) -> str:
    """Return the file name of a model; ``model`` is what the build's file names begin with.

    >>> model_file_name("x4plus", "int8", "ort")
    'x4plus-int8-ort.onnx'
    """
    return "-".join(part for part in (model, precision, target) if part) + ".onnx"


def plan_file_name(model: str, target: str) -> str:
    """Return the file name of the plan behind a quantized model.

    >>> plan_file_name("x4plus", "ort")
    'x4plus-int8-ort.plan.json'
    """
    return f"{model}-int8-{target}.plan.json"


def sensitivity_file_name(model: str, target: str) -> str:
    """Return the file name of what each layer of a quantized model costs.

    >>> sensitivity_file_name("x4plus", "ort")
    'x4plus-int8-ort.sensitivity.json'
    """
    return f"{model}-int8-{target}.sensitivity.json"


def write_record(folder: Path, name: str, content: bytes) -> Artifact:
    """Write a record such as a plan and return what the manifest says of it."""
    write_atomically(folder / name, content)
    return Artifact(path=name, sha256=sha256_bytes(content), size_bytes=len(content))


def artifact_of(path: Path) -> Artifact:
    """Return what the manifest says of a record that lies there already."""
    return Artifact(path=path.name, sha256=sha256_file(path), size_bytes=path.stat().st_size)


def write_model(
    folder: Path,
    name: str,
    model: onnx.ModelProto,
    precision: ModelPrecision,
    target: str | None = None,
) -> Artifact:
    """Write an ONNX model and return what the manifest says of it."""
    content = serialize(model)
    write_atomically(folder / name, content)
    return Artifact(
        path=name,
        sha256=sha256_bytes(content),
        size_bytes=len(content),
        precision=precision,
        target=target,
        opset=main_opset(model),
    )


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a model: the same bytes for equal models in every process."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def main_opset(model: onnx.ModelProto) -> int:
    """Return the version of the ``ai.onnx`` operator set that a model uses.

    Raises:
        GraphError: the model imports no such set.
    """
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            return int(opset.version)
    raise GraphError("the model imports no ai.onnx operator set; export it as plain ONNX")
