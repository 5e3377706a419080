"""ncnn pairs that lie, in their text or in their weights, are refused by name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.network.architecture import SRVGG
from tests.deploy.hostile.hostile import refusal, require

BUILD = "build --model pair --weights {file} --out {folder}/out"
Pair = tuple[str, bytes]
Change = Callable[[str, bytes], tuple[str | bytes, bytes]]


def text(old: str, new: str, count: int = 1) -> Change:
    def change(param: str, binary: bytes) -> Pair:
        assert old in param, param
        return param.replace(old, new, count), binary

    return change


def binary(change: Callable[[bytes], bytes]) -> Change:
    return lambda param, content: (param, change(content))


def prelu(slopes: str) -> Change:
    """State another number of slopes for every PReLU."""
    return lambda param, content: (re.sub(r"(PReLU .*) 0=\d+", rf"\1 0={slopes}", param), content)


def option(line: str, value: str) -> Change:
    """State another value for a number of the first convolution."""

    def change(param: str, content: bytes) -> Pair:
        lines = param.splitlines()
        place = next(n for n, words in enumerate(lines) if words.startswith("Convolution"))
        words = [f"{line}={value}" if w.startswith(f"{line}=") else w for w in lines[place].split()]
        lines[place] = " ".join(words)
        return "\n".join(lines) + "\n", content

    return change


def values(number: float) -> Change:
    """Put a number into the last bias."""
    return binary(lambda content: content[:-4] + np.float32(number).tobytes())


LIES: dict[str, tuple[Change, str]] = {
    "an empty text": (lambda _, b: ("", b), "empty"),
    "a text of zeros": (lambda _, b: (bytes(400), b), "not an ncnn text"),
    "another magic": (text("7767517", "7767518"), "not an ncnn text"),
    "counts of 10^18": (text("\n", f"\n{10**18} {10**18}\n"), "header says|cannot be read"),
    "counts that are no numbers": (lambda _, b: ("7767517\nlayers blobs\n", b), "line 2"),
    "counts below 0": (lambda _, b: ("7767517\n-1 -1\n", b), "header says"),
    "no layers": (lambda _, b: ("7767517\n0 0\n", b), "left behind"),
    "half of the text": (
        lambda p, b: (p[: len(p) // 2], b),
        "header says|cannot be read|announces",
    ),
    "a layer of -1 inputs": (text(" 1 1 ", " -1 1 "), "announces|cannot be read"),
    "a layer of 10^9 inputs": (text(" 1 1 ", " 1000000000 1 "), "announces|cannot be read"),
    "infinite channels": (option("0", "inf"), "0 is inf"),
    "channels beyond a float": (option("0", "1e999"), "0 is inf"),
    "channels that are no number": (option("0", "nan"), "0 is nan"),
    "no channels": (option("0", "0"), "do not make"),
    "channels below 0": (option("0", "-8"), "do not make"),
    "half a channel": (option("0", "8.5"), "0 is 8.5"),
    "10^18 weights": (option("6", "216000000000000000"), "ends too early|do not make"),
    "infinite weights": (option("6", "inf"), "6 is inf"),
    "weights below 0": (option("6", "-216"), "do not make"),
    "an array of -1 values": (text(" 4=1", " -23304=-1,1"), "cannot be read"),
    "a key that is no number": (text(" 4=1", " x=1"), "cannot be read"),
    "slopes below 0": (prelu("-8"), "-8"),
    "no slopes": (prelu("0"), "pair"),
    "infinite slopes": (prelu("inf"), "0 is inf"),
    "a bin of 0 bytes": (binary(lambda _: b""), "empty"),
    "half of the bin": (binary(lambda content: content[: len(content) // 2]), "ends too early"),
    "a bin that goes on": (binary(lambda content: content + bytes(8)), "left behind"),
    "an int8 form": (binary(lambda content: b"\x38\xcd\x0d\x00" + content[4:]), "0x000DCD38"),
    "a bin of ones": (binary(lambda content: b"\xff" * len(content)), "form|NaN"),
    "NaN in the bin": (values(float("nan")), "NaN"),
    "infinity in the bin": (values(float("inf")), "infinite"),
    "another network": (text("Convolution", "Deconvolution", 99), "another network"),
    "a layer that reads itself": (text(" data_0 b1 ", " b1 b1 "), "pair"),
    "a line of 10^6 words": (lambda p, b: (p + "Conv " * 10**6, b), "pair"),
}


@pytest.mark.parametrize(("change", "says"), LIES.values(), ids=LIES)
def test_ncnn_pairs(change: Change, says: str, ncnn_pair, random_tensors, tmp_path: Path) -> None:
    architecture = SRVGG(convs=1, features=8, scale=2)
    param, content = change(*ncnn_pair(architecture, random_tensors(architecture), half=False))
    file = tmp_path / "pair.param"
    file.write_bytes(param if isinstance(param, bytes) else param.encode())
    file.with_suffix(".bin").write_bytes(content)
    refused = refusal(BUILD, tmp_path, {"file": file})
    require(refused, file="pair", says=says, code=2)
