"""Feed a reader of strangers' files with mutated ones, guided by the code that they reach.

It needs atheris, which drives libFuzzer:

    pip install atheris
    python tools/fuzz.py TARGET SECONDS [FOLDER]

TARGET is one of `TARGETS`. FOLDER keeps the inputs that reached something new, for the next run;
whoever begins without gets seeds of a small build made here. A reader may refuse what it is given,
with an error of the tree in calib/errors.py; any other exception ends the run with the input in
``crash-...`` in the current folder: it becomes a case in tests/deploy/hostile/.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["calib", "deploy"]):
    from calib.errors import EsrdeployError
    from calib.table import CalibrationTable
    from deploy.artifacts.manifest import read_manifest
    from deploy.cli import app
    from deploy.handoff.bundle_manifest import read_contents
    from deploy.handoff.bundle_zip import unpack
    from deploy.handoff.returned.files import OutputFormat, read_output
    from deploy.ncnn.from_onnx import ncnn_layers
    from deploy.ncnn.read import attach_weights, parse_param
    from deploy.ncnn.write import bin_content, param_text
    from quant.plan import QuantPlan

import onnx  # noqa: E402  # what is to be instrumented is imported before

from tools.small_network import write_small_network  # noqa: E402

_SHAPE = (1, 3, 8, 8)
_BETWEEN = b"\0\0two files\0\0"  # an input of two files is the one, this, and the other
_SUFFIXES = (".npy", ".npz", ".bin", ".raw", ".txt")
_NAME = "fuzzed"
_WORD = re.compile(rb'"([\w./-]{1,40})"')


def ncnn(content: bytes, _: Path) -> None:
    """Read an ncnn pair."""
    text, _, weights = content.partition(_BETWEEN)
    attach_weights(parse_param(text.decode("utf-8", errors="replace"), "x.param"), weights, "x.bin")


def table(content: bytes, folder: Path) -> None:
    """Read a calibration table and its arrays."""
    document, _, arrays = content.partition(_BETWEEN)
    (folder / "calibration.json").write_bytes(document)
    (folder / "calibration.npz").write_bytes(arrays)
    CalibrationTable.load(folder / "calibration.json")


def manifest(content: bytes, folder: Path) -> None:
    """Read the manifest of a build."""
    (folder / "manifest.json").write_bytes(content)
    read_manifest(folder / "manifest.json")


def plan(content: bytes, _: Path) -> None:
    """Read a plan."""
    QuantPlan.parse(content, "plan.json")


def bundle(content: bytes, folder: Path) -> None:
    """Unpack a bundle and read its manifest."""
    (folder / "bundle.zip").write_bytes(content)
    root = folder / "unpacked"
    root.mkdir()
    try:
        unpack(folder / "bundle.zip", root)
        read_contents(root)
    finally:
        shutil.rmtree(root)


def bundle_manifest(content: bytes, folder: Path) -> None:
    """Read the manifest of a bundle."""
    (folder / "manifest.json").write_bytes(content)
    read_contents(folder)


def returned(content: bytes, folder: Path) -> None:
    """Read an output that a vendor sent back; its first byte chooses the kind of file."""
    suffix = _SUFFIXES[content[0] % len(_SUFFIXES)] if content else ".npy"
    path = folder / f"output{suffix}"
    path.write_bytes(content[1:])
    read_output(path, _SHAPE, OutputFormat("nchw", None))


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    one.__name__: one for one in (ncnn, table, manifest, plan, bundle, bundle_manifest, returned)
}


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Return good inputs of each target, of a small build that is made in ``folder``."""
    weights = write_small_network(folder / "small.safetensors")
    words = ["build", "--weights", str(weights), "--name", _NAME, "--size", "32", "--no-report"]
    words += ["--calib-count", "1", "--rounding", "nearest", "--out", str(folder)]
    run([*words])
    built = folder / f"{_NAME}-32x32"
    run(["handoff", "--vendor", "vacc", str(built), "--out", str(folder / "bundle.zip")])
    (folder / "bundle").mkdir()
    unpack(folder / "bundle.zip", folder / "bundle")
    shutil.make_archive(str(folder / "small"), "zip", folder / "bundle" / "golden" / "picture")
    layers = ncnn_layers(onnx.load(next(built.glob("*-fp32.onnx"))))
    arrays = (built / "calibration.npz").read_bytes()
    outputs = [path.read_bytes() for path in (folder / "bundle" / "golden" / "input").iterdir()]
    return {
        "ncnn": [param_text(layers).encode() + _BETWEEN + bin_content(layers)],
        "table": [(built / "calibration.json").read_bytes() + _BETWEEN + arrays],
        "manifest": [(built / "manifest.json").read_bytes()],
        "plan": [next(built.glob("*.plan.json")).read_bytes()],
        "bundle": [(folder / "small.zip").read_bytes()],
        "bundle_manifest": [(folder / "bundle" / "manifest.json").read_bytes()],
        "returned": [bytes([kind]) + outputs[0] for kind in range(len(_SUFFIXES))],
    }


def words_of(corpus: Path, path: Path) -> Path:
    """Write what stands in quotes in a corpus as a dictionary of libFuzzer, and return its path."""
    found = {word for file in corpus.iterdir() for word in _WORD.findall(file.read_bytes())}
    path.write_bytes(b"".join(b'"\\"%s\\""\n' % word for word in sorted(found)))
    return path


def run(words: list[str]) -> None:
    """Run a command of esrdeploy in this process.

    Raises:
        SystemExit: it failed.
    """
    try:
        app(words, prog_name="esrdeploy")
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    """Fuzz one target for some seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", type=int)
    parser.add_argument("folder", type=Path, nargs="?")
    options = parser.parse_args()
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory(prefix="esrdeploy-fuzz-") as temporary:
        work, corpus = Path(temporary), options.folder or Path(temporary) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        if not any(corpus.iterdir()):
            (work / "made").mkdir()
            for number, content in enumerate(seeds(work / "made")[options.target]):
                (corpus / f"seed-{number}").write_bytes(content)

        def feed(content: bytes) -> None:
            with suppress(EsrdeployError):
                target(content, work)

        limits = [f"-max_total_time={options.seconds}", "-rss_limit_mb=2048", "-max_len=400000"]
        words = words_of(corpus, work / "words")
        if words.stat().st_size:  # libFuzzer refuses an empty one
            limits.append(f"-dict={words}")
        atheris.Setup([sys.argv[0], *limits, str(corpus)], feed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
