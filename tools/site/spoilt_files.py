"""Spoil the int8 file of a build in every way that the guide to failed verifications shows.

Each way keeps the manifest up to date, as a pipeline does that makes its records of whatever it has
at hand: what gives the file away is what it holds and what it draws.
"""

import json
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calib.arrays import AnyArray
from calib.digest import canonical_json, sha256_file
from deploy.artifacts.files import MANIFEST_NAME, serialize


@dataclass(frozen=True)
class SpoiltFile:
    """One fault of an int8 file.

    Attributes:
        name: of its pictures.
        says: what ``verify`` prints of it, and the guide's table has.
        done: what was done, for a reader.
        edit: changes the model in place.
    """

    name: str
    says: str
    done: str
    edit: Callable[[onnx.ModelProto], None]


def spoil(folder: Path, file: str, fault: SpoiltFile) -> None:
    """Put a fault into a file of a build, and the file's digest into the manifest."""
    model = onnx.load(folder / file)
    fault.edit(model)
    (folder / file).write_bytes(serialize(model))
    path = folder / MANIFEST_NAME
    manifest = json.loads(path.read_bytes())
    for artifact in manifest["artifacts"]:
        if artifact["path"] == file:
            artifact["sha256"] = sha256_file(folder / file)
            artifact["size_bytes"] = (folder / file).stat().st_size
    path.write_bytes(canonical_json(manifest))


def _give_bgr(model: onnx.ModelProto) -> None:
    (output,) = model.graph.output
    _rename((node.output for node in model.graph.node), output.name, "rgb")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    model.graph.node.append(helper.make_node("Gather", ["rgb", "order"], [output.name], axis=1))


def _take_bytes(model: onnx.ModelProto) -> None:
    (given,) = model.graph.input
    _rename((node.input for node in model.graph.node), given.name, "bytes")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(255.0), "white"))
    model.graph.node.insert(0, helper.make_node("Mul", [given.name, "white"], ["bytes"]))


def _transpose_kernels(model: onnx.ModelProto) -> None:
    weights = list(_weights(model))
    _change(weights[len(weights) // 2], lambda codes: codes.swapaxes(2, 3))


def _take_other_weights(model: onnx.ModelProto) -> None:
    generator = np.random.default_rng(0)
    for weight in _weights(model):
        _change(weight, lambda codes: generator.permutation(codes.reshape(-1)).reshape(codes.shape))


def _move_zero_point(model: onnx.ModelProto) -> None:
    _change_one_end(model, 2, lambda point: point + 40)


def _zero_scale(model: onnx.ModelProto) -> None:
    _change_one_end(model, 1, lambda scale: scale * 0)


def _halve_scale(model: onnx.ModelProto) -> None:
    _change_one_end(model, 1, lambda scale: scale / 2)


FILES = (
    SpoiltFile("bgr", "channels swapped", "the file gives out BGR", _give_bgr),
    SpoiltFile("bytes", "missing / 255", "the file is fed bytes, 0 to 255", _take_bytes),
    SpoiltFile(
        "transposed",
        "transposed",
        "height and width of the kernels of one convolution are exchanged",
        _transpose_kernels,
    ),
    SpoiltFile(
        "zero-point",
        "wrong zero point",
        "codes of one activation are read with a zero point 40 above that they were written with",
        _move_zero_point,
    ),
    SpoiltFile(
        "zero-scale", "zero scale", "codes of one activation are read with scale 0", _zero_scale
    ),
    SpoiltFile(
        "scale",
        "wrong scale",
        "codes of one activation are read with half the scale that they were written with",
        _halve_scale,
    ),
    SpoiltFile(
        "other-weights",
        "weights of another model",
        "the weights are those of a network that learned nothing",
        _take_other_weights,
    ),
)


def _rename(ends: Iterable[MutableSequence[str]], before: str, after: str) -> None:
    """Give a tensor another name among the inputs or the outputs of nodes."""
    for names in ends:
        names[:] = [after if name == before else name for name in names]


def _weights(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield the int8 codes of every convolution's weight, in the order of the graph."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            codes = stored[node.input[0]]
            if len(codes.dims) == 4:
                yield codes


def _change_one_end(
    model: onnx.ModelProto, slot: int, change: Callable[[AnyArray], AnyArray]
) -> None:
    """Let the DequantizeLinear of the pair in the middle read another constant.

    Args:
        model: a QDQ file.
        slot: 1 for the scale, 2 for the zero point.
        change: what becomes of the constant.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    ends = [
        node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] not in stored
    ]
    end = ends[len(ends) // 2]
    changed = onnx.TensorProto()
    changed.CopyFrom(stored[end.input[slot]])
    changed.name += "_changed"
    _change(changed, change)
    model.graph.initializer.append(changed)
    end.input[slot] = changed.name


def _change(tensor: onnx.TensorProto, change: Callable[[AnyArray], AnyArray]) -> None:
    value = numpy_helper.to_array(tensor)
    changed = np.array(change(value.copy()), value.dtype, order="C")
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
