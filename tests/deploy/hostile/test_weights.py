"""Weights that lie are refused before anything is made of them."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from tests.deploy.hostile.hostile import Lie, Make, always, cut, flipped, refusal, require

BUILD = "build --model tiny --weights {file} --out {folder}/out"
DEEP = 100_000


class RunsCode:
    """An object whose pickle asks for a command to be run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch was-here",)


def pth(change: Callable[[dict[str, torch.Tensor]], object], **how: Any) -> Make:
    """Save what ``change`` makes of the good state dict, as torch does."""

    def make(good: bytes) -> bytes:
        # In one order: safetensors gives another each time, and a spoiled bit hits something else.
        tensors = {name: torch.from_numpy(v.copy()) for name, v in sorted(load(good).items())}
        file = io.BytesIO()
        torch.save(change(tensors), file, **how)
        return file.getvalue()

    return make


def then(first: Make, second: Make) -> Make:
    return lambda good: second(first(good))


def whole(tensors: dict[str, torch.Tensor]) -> object:
    return tensors


def repacked(change: Callable[[str, bytes], bytes], kind: int = zipfile.ZIP_STORED) -> Make:
    """Write every entry of a .pth again."""

    def make(good: bytes) -> bytes:
        file = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(pth(whole)(good))) as old,
            zipfile.ZipFile(file, "w") as new,
        ):
            for entry in old.infolist():
                content = change(entry.filename, old.read(entry))
                new.writestr(entry.filename, content, compress_type=kind)
        return file.getvalue()

    return make


def bomb(_: bytes) -> bytes:
    """A .pth of 0.3 MB with a storage of 300 MB."""
    grow = repacked(
        lambda name, content: bytes(300 << 20) if name.endswith("data/0") else content,
        zipfile.ZIP_DEFLATED,
    )
    return grow(_)


def unstarted(content: bytes) -> bytes:
    """Turn over a bit of the pickle's first byte: others, such as an index, say nothing."""
    at = content.index(b"\x80\x02")
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def unsigned(good: bytes) -> bytes:
    """Spoil the signature of the first entry in the zip's directory."""
    return good.replace(b"PK\x01\x02", b"PK\x01\x03", 1)


def laughs(tensors: dict[str, torch.Tensor]) -> object:
    """A mapping of a few hundred entries that stands for 10^12 when it is written out."""
    level: dict[str, object] = dict(tensors)
    for _ in range(6):
        level = {f"{index}a": level for index in range(100)}
    return level


def selfish(tensors: dict[str, torch.Tensor]) -> object:
    loop: dict[str, object] = {}
    loop["again"] = loop
    return loop


def spread(tensors: dict[str, torch.Tensor]) -> object:
    """One value that stands for 10^12 by strides of 0."""
    return {**tensors, "conv_first.weight": torch.zeros(1).expand(10**6, 10**6)}


def with_value(name: str, value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    def change(tensors: dict[str, torch.Tensor]) -> object:
        tensors[name].view(-1)[0] = value
        return tensors

    return change


def header(change: Callable[[dict[str, Any]], object]) -> Make:
    """Change the header of a .safetensors file."""

    def make(good: bytes) -> bytes:
        length = int.from_bytes(good[:8], "little")
        document = json.loads(good[8 : 8 + length])
        changed = change(document)
        text = changed if isinstance(changed, bytes) else json.dumps(document).encode()
        return struct.pack("<Q", len(text)) + text + good[8 + length :]

    return make


def stated(field: str, value: object) -> Make:
    return header(lambda document: document["conv_first.weight"].update({field: value}))


def spoiled_values(value: float) -> Make:
    def make(good: bytes) -> bytes:
        tensors = load(good)
        tensors["conv_hr.weight"].reshape(-1)[3] = value
        return save(tensors)

    return make


def reshaped(name: str, shape: tuple[int, ...]) -> Make:
    return lambda good: save({**load(good), name: np.zeros(shape, np.float32)})


def without(name: str) -> Make:
    return lambda good: save({key: value for key, value in load(good).items() if key != name})


LIES: dict[str, Lie] = {
    "pickle that runs a command": Lie("w.pth", pth(lambda _: {"a": RunsCode()}), "code"),
    "bare pickle that runs a command": Lie("w.pth", always(pickle.dumps(RunsCode())), "code"),
    "pickle of protocol 0 that runs a command": Lie(
        "w.pth", always(pickle.dumps(RunsCode(), protocol=0)), "code|cannot be read"
    ),
    "old form that runs a command": Lie(
        "w.pth", pth(lambda _: {"a": RunsCode()}, _use_new_zipfile_serialization=False), "code"
    ),
    "a whole module": Lie("w.pth", pth(lambda _: torch.nn.Conv2d(1, 1, 1)), "module"),
    "zip bomb": Lie("w.pth", bomb, "unpack"),
    "a deflated zip of zeros": Lie(
        "w.pth",
        repacked(lambda n, c: bytes(len(c)) if "/data/" in n else c, zipfile.ZIP_DEFLATED),
        "unpack",
    ),
    "mapping that multiplies": Lie("w.pth", pth(laughs), "entries"),
    "mapping that holds itself": Lie("w.pth", pth(selfish), "no network|holds"),
    "strides of 0": Lie("w.pth", pth(spread), "values"),
    "NaN in a .pth": Lie("w.pth", pth(with_value("conv_hr.weight", float("nan"))), "NaN"),
    "infinity in a .pth": Lie("w.pth", pth(with_value("conv_hr.bias", float("inf"))), "infinite"),
    "a list": Lie("w.pth", pth(lambda t: [*t.values()]), "list"),
    "a tensor alone": Lie("w.pth", pth(lambda t: t["conv_hr.weight"]), "one tensor"),
    "a number": Lie("w.pth", pth(lambda _: 7), "int"),
    "an empty mapping": Lie("w.pth", pth(lambda _: {}), "holds"),
    "keys that are no names": Lie(
        "w.pth", pth(lambda t: dict(enumerate(t.values()))), "no architecture"
    ),
    "complex weights": Lie(
        "w.pth",
        pth(lambda t: {**t, "conv_hr.weight": torch.zeros(8, 8, 3, 3, dtype=torch.cfloat)}),
        "complex",
    ),
    "integer weights": Lie(
        "w.pth",
        pth(lambda t: {**t, "conv_hr.weight": torch.zeros(8, 8, 3, 3, dtype=torch.int8)}),
        "int8",
    ),
    "sparse weights": Lie(
        "w.pth", pth(lambda t: {**t, "conv_hr.weight": torch.zeros(8, 8).to_sparse()}), "conv_hr"
    ),
    "half of a .pth": Lie("w.pth", then(pth(whole), cut(0.5)), "cut short"),
    "a .pth without its end": Lie("w.pth", then(pth(whole), cut(0.98)), "cut short|cannot be read"),
    "a bit of the pickle": Lie("w.pth", then(pth(whole), unstarted), "w.pth"),
    "a bit of the directory": Lie("w.pth", then(pth(whole), unsigned), "w.pth"),
    "a storage cut short": Lie(
        "w.pth", repacked(lambda name, c: c[:8] if name.endswith("data/0") else c), "w.pth"
    ),
    "a pickle of zeros": Lie(
        "w.pth", repacked(lambda name, c: bytes(99) if name.endswith("data.pkl") else c), "w.pth"
    ),
    "0 bytes": Lie("w.pth", always(b""), "empty"),
    "one byte": Lie("w.pth", always(b"\x80"), "w.pth"),
    "zeros": Lie("w.pth", always(bytes(4096)), "w.pth"),
    "a web page": Lie("w.pth", always(b"<!DOCTYPE html><p>404"), "web page"),
    "a zip of nothing": Lie("w.pth", always(b"PK\x05\x06" + bytes(18)), "w.pth"),
    "no known form": Lie("w.txt", always(b"weights"), "no form known"),
    "0 bytes of safetensors": Lie("w.safetensors", always(b""), "empty"),
    "half of a .safetensors": Lie("w.safetensors", cut(0.5), "cut short"),
    "a bit of the header's length": Lie("w.safetensors", flipped(0.00001), "w.safetensors"),
    "a header of 2^63 bytes": Lie(
        "w.safetensors", lambda good: struct.pack("<Q", 1 << 63) + good[8:], "cut short|cannot be"
    ),
    "a header 100,000 levels deep": Lie(
        "w.safetensors", header(lambda _: b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"), "cannot be"
    ),
    "a header that is a list": Lie("w.safetensors", header(lambda _: b"[]"), "cannot be read"),
    "a header that is no UTF-8": Lie("w.safetensors", header(lambda _: b'{"\xff":1}'), "cannot be"),
    "a shape of 10^12": Lie("w.safetensors", stated("shape", [10**6, 10**6]), "cannot be read"),
    "a shape beyond 64 bits": Lie("w.safetensors", stated("shape", [2**40, 2**40]), "cannot be"),
    "a negative shape": Lie("w.safetensors", stated("shape", [-8, 3, 3, 3]), "cannot be read"),
    "offsets beyond the end": Lie(
        "w.safetensors", stated("data_offsets", [0, 10**15]), "cut short"
    ),
    "offsets that overlap": Lie("w.safetensors", stated("data_offsets", [0, 8]), "cannot be read"),
    "negative offsets": Lie("w.safetensors", stated("data_offsets", [-8, 0]), "cannot be read"),
    "a type that is none": Lie("w.safetensors", stated("dtype", "F99"), "cannot be read"),
    "NaN in a .safetensors": Lie("w.safetensors", spoiled_values(float("nan")), "NaN"),
    "infinity in a .safetensors": Lie("w.safetensors", spoiled_values(float("-inf")), "infinite"),
    "a layer of no channels": Lie(
        "w.safetensors", reshaped("conv_hr.weight", (0, 8, 3, 3)), "conv_hr"
    ),
    "a layer of other sizes": Lie(
        "w.safetensors", reshaped("conv_hr.weight", (8, 9, 3, 3)), "conv_hr"
    ),
    "a bias of two dimensions": Lie("w.safetensors", reshaped("conv_hr.bias", (8, 1)), "conv_hr"),
    "a scalar for a kernel": Lie("w.safetensors", reshaped("conv_first.weight", ()), "conv_first"),
    "a layer that is missing": Lie("w.safetensors", without("conv_body.weight"), "conv_body"),
    "no tensors": Lie("w.safetensors", lambda _: save({}), "w.safetensors"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_weights(
    lie: Lie, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / lie.file
    path.write_bytes(lie.make(tiny_weights.read_bytes()))
    refused = refusal(BUILD, tmp_path, {"file": path})
    require(refused, file=lie.file, says=lie.says, code=lie.code)
    assert not (tmp_path / "was-here").exists()
