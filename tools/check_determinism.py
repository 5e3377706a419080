"""Write every artifact in settings that must not matter, and compare them to the byte.

    python tools/check_determinism.py                               # a network of one block
    python tools/check_determinism.py --model animevideov3 --calib-count 4
    python tools/check_determinism.py --older-cpu

What this script does not know is given to ``esrdeploy build``. In each setting one process builds,
makes the report again, packs a bundle, judges outputs that were returned, enlarges a picture,
degrades photographs and scores the build on them. The second setting has another number of threads
and cores, clock, time zone, locale, hash seed, user, home and working folder; with ``--older-cpu``
a third one has the libraries take an older CPU's instructions, as far as they can be told. Exits 1
if a file differs or is missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from calib.digest import sha256_file  # noqa: E402  # from beside this script
from calib.images import write_image  # noqa: E402
from calib.sample import PackagedPhoto  # noqa: E402
from tools.small_network import write_small_network  # noqa: E402

NAME = "network"
PHOTO = "rocket.png"
VENDORS = ("qnn", "ncnn")


@dataclass(frozen=True)
class Setting:
    """What a process finds around it.

    Attributes:
        name: for people.
        threads: cores it may use.
        days: how far its clock is away.
        environment: variables, beside those of every setting.
        absolute: paths are given to it from the root, not from its working folder.
    """

    name: str
    threads: int
    days: int
    environment: Mapping[str, str] = field(default_factory=dict)
    absolute: bool = False


_ONE = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C", "USER": "a"}
_TWO = {
    "OMP_NUM_THREADS": "2",
    "PYTHONHASHSEED": "4242",
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C.UTF-8",
    "USER": "b",
}
_OLDER_CPU = {
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX2 FMA3",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENCV_CPU_DISABLE": "AVX2,AVX512_SKX",
    "VIPS_NOVECTOR": "1",
}
SETTINGS = (
    Setting("one core", 1, 0, _ONE),
    Setting("two cores, another place and time", 2, 3000, _TWO, absolute=True),
)
OLDER_CPU = Setting("an older CPU", 2, 0, _TWO | _OLDER_CPU)


def commands(place: Path, build: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands that write artifacts, all of them under ``place``."""
    dist, bundle = place / "dist", place / "dist" / "bundle.zip"
    photos, pairs, returned = place / "photos", place / "pairs", place / "returned"
    yield ["build", *build, "--name", NAME, "--out", f"{dist}"]
    yield ["report", f"{dist}"]
    vendors = [word for vendor in VENDORS for word in ("--vendor", vendor)]
    yield ["handoff", *vendors, "--out", f"{bundle}", f"{dist / NAME}"]
    yield ["return", f"{bundle}", f"{returned}"]
    judged = ["--vendor", "qnn", "--precision", "fp16", "--report", f"{place / 'verdict.html'}"]
    yield ["verify", "--returned", f"{returned}", f"{bundle}", *judged]
    enlarge = ["--builds", f"{dist}", "--backend", "ort"]
    yield ["upscale", f"{photos / PHOTO}", f"{place / 'enlarged.png'}", *enlarge]
    yield ["degrade", f"{photos}", f"{pairs}", "--crop", "256"]
    yield ["eval", "--data", f"{pairs}", "--builds", f"{dist}", "--shape", "source"]


def write_artifacts(setting: Setting, folder: Path, build: Sequence[str]) -> Path:
    """Write every artifact in a setting; return the folder that holds them.

    Args:
        setting: what the process finds.
        folder: of this setting, new.
        build: words of ``esrdeploy build`` that say what to build.

    Raises:
        SystemExit: a command fails.
    """
    out = folder / "artifacts"
    (out / "photos").mkdir(parents=True)
    write_image(out / "photos" / PHOTO, PackagedPhoto("rocket.jpg").read()[:300, :320])
    place = out if setting.absolute else Path()
    run_commands(setting, out, list(commands(place, build)))
    return out


def run_commands(setting: Setting, folder: Path, words: Sequence[Sequence[str]]) -> None:
    """Run commands in a process that finds a setting around it.

    Args:
        setting: what it finds.
        folder: that it works in, or beside where paths are given from the root. Its home lies
            beside it.
        words: of each command.

    Raises:
        SystemExit: a command fails.
    """
    asked = {"threads": setting.threads, "days": setting.days, "commands": words}
    home = folder.parent / "home"
    process = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "in_setting.py"), json.dumps(asked)],
        cwd=folder.parent if setting.absolute else folder,
        env={
            **os.environ,
            **setting.environment,
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(home / "cache"),  # no int8 model of another run is found
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        raise SystemExit(f"{setting.name}: exit {process.returncode}\n{process.stderr[-2000:]}")


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file under a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def main() -> None:
    """Write, compare, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--older-cpu", action="store_true", help="compare a third setting")
    options, build = parser.parse_known_args()
    settings = (*SETTINGS, OLDER_CPU) if options.older_cpu else SETTINGS
    with tempfile.TemporaryDirectory(prefix="esrdeploy-determinism-") as temporary:
        root = Path(temporary)
        if not build:
            weights = write_small_network(root / "small.safetensors")
            build = ["--weights", str(weights), "--calib-count", "4"]
        folders = [write_artifacts(one, root / str(n), build) for n, one in enumerate(settings)]
        expected = digests(folders[0])
        size_mb = sum((folders[0] / name).stat().st_size for name in expected) / 1e6
        print(f"{settings[0].name}: {len(expected)} files, {size_mb:.1f} MB")
        different = 0
        for setting, folder in zip(settings[1:], folders[1:], strict=True):
            found = digests(folder)
            names = sorted(expected.items() ^ found.items())
            differing = sorted({name for name, _ in names})
            different += len(differing)
            print(f"{setting.name}: {len(differing)} of them differ")
            for name in differing:
                print(f"    {name}")
    raise SystemExit(1 if different else 0)


if __name__ == "__main__":
    main()
