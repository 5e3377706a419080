"""Returned outputs that lie: each is named with what is wrong, and the verdict is no."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from tests.deploy.builds import run
from tests.deploy.hostile.hostile import refusal, require

COMMAND = "verify --returned {returned} {bundle} --vendor vacc --report {page}"
Array = np.ndarray


def saved(make: Callable[[Array], object]) -> Callable[[Path, Array], None]:
    """Save what is made of a good output as .npy."""
    return lambda path, good: np.save(path, make(good), allow_pickle=True)


def content(make: Callable[[bytes], bytes]) -> Callable[[Path, Array], None]:
    """Change the bytes of a good .npy."""

    def write(path: Path, good: Array) -> None:
        np.save(path, good)
        path.write_bytes(make(path.read_bytes()))

    return write


def header(text: str, version: int = 1) -> Callable[[Path, Array], None]:
    """Write a .npy of that header before 64 bytes of values."""

    def write(path: Path, _: Array) -> None:
        line = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
        size = struct.pack("<H" if version == 1 else "<I", len(line))
        path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + line + bytes(64))

    return write


def stated(shape: str, descr: str = "'<f4'") -> Callable[[Path, Array], None]:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


def spoiled(value: float) -> Callable[[Path, Array], None]:
    def change(good: Array) -> Array:
        good = good.copy()
        good[0, 0, :9] = value
        return good

    return saved(change)


def loop(path: Path, _: Array) -> None:
    path.symlink_to(path.name)


NPY: dict[str, tuple[Callable[[Path, Array], None], str]] = {
    "10^15 values": (stated("(10**15,)".replace("10**15", str(10**15))), "states"),
    "2^70 values": (stated(f"({1 << 70},)"), "states"),
    "2^40 values four times": (stated(f"({1 << 40}, {1 << 40}, {1 << 40}, {1 << 40})"), "states"),
    "-1 values": (stated("(-1,)"), "states"),
    "a shape of words": (stated("('a',)"), "cannot be read"),
    "a shape that is no tuple": (stated("7"), "cannot be read"),
    "values of no bytes": (stated("(10**15,)".replace("10**15", str(10**15)), "'V0'"), "states"),
    "a type that is none": (stated("(16,)", "'<q99'"), "cannot be read"),
    "a type of code": (stated("(16,)", "__import__('os').getcwd()"), "cannot be read"),
    "a header of brackets": (header("(" * 9000), "cannot be read"),
    "a header of 10^5 letters": (header("x" * 100_000, version=2), "cannot be read"),
    "a header that is a list": (header("[1, 2]"), "cannot be read"),
    "a version of 9": (content(lambda c: c[:6] + b"\x09" + c[7:]), "cannot be read"),
    "0 bytes": (content(lambda _: b""), "cannot be read"),
    "a text": (content(lambda _: b"the outputs"), "cannot be read"),
    "half": (content(lambda c: c[: len(c) // 2]), "states"),
    "the header alone": (content(lambda c: c[:128]), "states"),
    "objects": (saved(lambda a: np.array([{}, a], object)), "objects"),
    "a structure": (saved(lambda a: a.astype([("x", "<f4")])), "x"),
    "words": (saved(lambda a: a.astype("U4")), "U4"),
    "complex": (saved(lambda a: a.astype(np.complex64)), "complex"),
    "true and false": (saved(lambda a: a > 0.5), "bool"),
    "dates": (saved(lambda a: a.astype(int).astype("M8[s]")), "datetime"),
    "64-bit integers": (saved(lambda a: (a * 255).astype(np.int64)), "int64"),
    "one picture too many": (saved(lambda a: np.concatenate([a, a])), "shape"),
    "one channel": (saved(lambda a: a[:, :1]), "shape"),
    "no values": (saved(lambda a: a[:0]), "shape"),
    "a scalar": (saved(lambda a: a.sum()), "shape"),
    "a hundred dimensions of one": (saved(lambda a: a.reshape((1,) * 30 + a.shape[1:])), "0"),
    "NaN": (spoiled(float("nan")), "pass"),
    "infinity": (spoiled(float("inf")), "pass"),
    "a loop": (loop, "missing"),
}


def npy(value: Array, good: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, good if value is ... else value, allow_pickle=True)
    return file.getvalue()


def zipped(entries: dict[str, bytes | Array]) -> Callable[[Path, Array], None]:
    """Write an .npz by hand; ``...`` stands for the good output."""

    def write(path: Path, good: Array) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in entries.items():
                archive.writestr(name, value if isinstance(value, bytes) else npy(value, good))

    return write


def swollen(path: Path, good: Array) -> None:
    zipped({"output_0.npy": ...})(path, good)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, 0xFFFFFFF0)
    path.write_bytes(raw)


CODES = np.zeros((1, 3, 8, 8), np.int8)
NPZ: dict[str, tuple[Callable[[Path, Array], None], str]] = {
    "no zip": (lambda path, _: path.write_bytes(b"no zip") and None, "cannot be read"),
    "0 bytes": (lambda path, _: path.write_bytes(b"") and None, "cannot be read"),
    "nothing in it": (zipped({}), "expected output_0"),
    "other arrays": (zipped({"a.npy": ..., "b.npy": ...}), "expected output_0"),
    "a text": (zipped({"output_0.npy": b"text"}), "cannot be read"),
    "a bomb": (swollen, "unpack"),
    "objects": (zipped({"output_0.npy": np.array([{}], object)}), "objects"),
    "a scale of NaN": (
        zipped({"output_0.npy": CODES, "scale.npy": np.float32([np.nan])}), "scale",
    ),
    "no scale": (zipped({"output_0.npy": CODES, "scale.npy": np.float32([])}), "scale|shape"),
    "a scale of words": (zipped({"output_0.npy": CODES, "scale.npy": np.array(["x"])}), "scale"),
    "a complex scale": (
        zipped({"output_0.npy": CODES, "scale.npy": np.complex64([1j])}), "scale|complex",
    ),
    "a zero point of NaN": (
        zipped({"output_0.npy": CODES, "scale.npy": np.float32([1]), "zero_point.npy":
                np.float32([np.nan])}), "zero",
    ),
    "an infinite zero point": (
        zipped({"output_0.npy": CODES, "scale.npy": np.float32([1]), "zero_point.npy":
                np.float32([np.inf])}), "zero",
    ),
}  # fmt: skip

RAW: dict[str, tuple[Callable[[Path, Array], None], str]] = {
    "0 bytes": (lambda path, _: path.write_bytes(b"") and None, "0 bytes"),
    "one byte": (lambda path, _: path.write_bytes(b"x") and None, "1 bytes"),
    "a value too few": (lambda path, a: path.write_bytes(a.tobytes()[:-4]) and None, "bytes"),
    "NaN": (lambda path, a: path.write_bytes(b"\xff" * a.nbytes) and None, "pass"),
    "a folder": (lambda path, _: path.mkdir(), "missing"),
}


@pytest.fixture(scope="session")
def good(vacc_only: Path) -> dict[str, Array]:
    """Golden outputs by name: what a return holds where it is not spoiled."""
    with opened(vacc_only) as root:
        manifest = read_contents(root)
        names = [vector.name for vector in manifest.golden]
        return {name: np.load(root / golden_path("float", name)) for name in names}


@pytest.fixture
def names(vacc_only: Path, tmp_path: Path) -> dict[str, object]:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return {
        "returned": tmp_path / "in",
        "bundle": vacc_only,
        "page": tmp_path / "out" / "page.html",
    }


CASES = {f"{suffix}: {name}": (suffix, *case) for suffix, table in
         ((".npy", NPY), (".npz", NPZ), (".raw", RAW)) for name, case in table.items()}  # fmt: skip


@pytest.mark.parametrize(("suffix", "write", "says"), CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore:Casting complex")
def test_outputs(  # noqa: PLR0917  # fixtures
    suffix: str, write: Callable[[Path, Array], None], says: str, good: dict[str, Array],
    names: dict[str, object], tmp_path: Path,
) -> None:  # fmt: skip
    name, array = next(iter(good.items()))
    file = tmp_path / "in" / f"{name}{suffix}"
    write(file, array)
    refused = refusal(COMMAND, tmp_path / "in", names)
    assert refused.code == 1
    about = [line for line in refused.lines if name in line]
    if says == "pass":
        verdict = json.loads((tmp_path / "out" / "page.json").read_text())
        assert not verdict["passed"]
        assert [output["returned_db"] for output in verdict["outputs"]] == [0.0]
        return
    if says == "missing":
        assert any(line.startswith("missing:") for line in about), refused.lines
        return
    require(refused, file=file.name, says=says, code=1)


QUANTIZATIONS: dict[str, tuple[bytes, str]] = {
    "0 bytes": (b"", "not JSON"),
    "100,000 levels": (b"[" * 100_000, "not JSON"),
    "a scale of 0": (b'{"dtype": "int8", "scale": 0.0, "zero_point": 0}', "scale"),
    "a scale of NaN": (b'{"dtype": "int8", "scale": NaN, "zero_point": 0}', "scale|JSON"),
    "a scale of 1e999": (b'{"dtype": "int8", "scale": 1e999, "zero_point": 0}', "scale"),
    "a type that is none": (b'{"dtype": "int7", "scale": 0.5, "zero_point": 0}', "int7"),
    "a zero point of 2^80": (
        b'{"dtype": "int8", "scale": 0.5, "zero_point": 1208925819614629174706176}', "zero_point",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), QUANTIZATIONS.values(), ids=QUANTIZATIONS)
def test_quantizations(text: bytes, says: str, names: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "in" / "quantization.json").write_bytes(text)
    refused = refusal(COMMAND, tmp_path, names)
    require(refused, file="quantization.json", says=says, code=2)


def test_a_folder_that_is_a_loop(names: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    refused = refusal(COMMAND, tmp_path, {**names, "returned": tmp_path / "loop"})
    require(refused, file="loop", says="no folder", code=2)


def test_links_out_of_the_folder_are_not_followed_for_ever(
    names: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "in" / "up").symlink_to("..")
    result = run(*COMMAND.format(**names).split(), "--json")
    assert result.exit_code == 1
    assert "missing" in result.stdout
