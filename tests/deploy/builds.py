"""Builds as tests handle them: copied, looked into, and spoiled with their digests recomputed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from calib.digest import canonical_json, sha256_file
from calib.table import CalibrationTable
from deploy.artifacts.files import serialize
from deploy.cli import app
from quant.plan import QuantPlan

FLOAT, HALF, INT8 = "tiny-fp32.onnx", "tiny-fp16.onnx", "tiny-int8-ort.onnx"
PLAN, TABLE, ARRAYS = "tiny-int8-ort.plan.json", "calibration.json", "calibration.npz"

Array = np.ndarray


def run(*arguments: object) -> Result:
    """Run esrdeploy in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def copied(source: Path, target: Path) -> Path:
    """Return a copy of a build that a test may spoil."""
    return Path(shutil.copytree(source, target))


def rehash(folder: Path) -> None:
    """Make the manifest agree with whatever lies beside it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for artifact in manifest["artifacts"]:
        artifact["sha256"] = sha256_file(folder / artifact["path"])
        artifact["size_bytes"] = (folder / artifact["path"]).stat().st_size
    try:
        manifest["calibration"]["digest"] = CalibrationTable.load(folder / TABLE).digest
    except Exception:  # noqa: BLE001  # the table may be what was spoiled
        manifest["calibration"]["digest"] = sha256_file(folder / TABLE)
    path.write_bytes(canonical_json(manifest))


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_bytes(canonical_json(manifest))


def load(folder: Path, name: str) -> onnx.ModelProto:
    return onnx.load(folder / name)


def store(folder: Path, name: str, model: onnx.ModelProto) -> None:
    (folder / name).write_bytes(serialize(model))
    rehash(folder)


def edit_initializer(
    folder: Path, name: str, initializer: str, change: Callable[[Array], Array]
) -> None:
    """Change one initializer of a model; ``initializer`` is how its name begins."""
    model = load(folder, name)
    (tensor,) = (t for t in model.graph.initializer if t.name.startswith(initializer))
    value = numpy_helper.to_array(tensor)
    # Not ascontiguousarray: it makes a scalar an array of one.
    changed = np.array(change(value.copy()), value.dtype, order="C")
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    store(folder, name, model)


def read_plan(folder: Path) -> QuantPlan:
    return QuantPlan.parse((folder / PLAN).read_bytes(), PLAN)


def write_plan(folder: Path, plan: QuantPlan) -> None:
    (folder / PLAN).write_bytes(plan.content())
    rehash(folder)
