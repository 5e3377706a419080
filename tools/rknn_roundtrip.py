"""Compare rknn-toolkit2's int8 parity with ours: bundle, SDK, simulator and back.

    python tools/rknn_roundtrip.py                            builds x4plus-anime-6b first
    python tools/rknn_roundtrip.py --build dist/x4plus        takes a build that is there

1. ``esrdeploy handoff --vendor rknn`` makes the bundle.
2. rknn-toolkit2 is installed into a virtual environment of its own, from the bundle's
   requirements, with a CPU build of torch.
3. The bundle's own script builds the network there and runs the golden inputs on the simulator,
   once quantized by rknn-toolkit2 and once for each of our QDQ files. It sees nothing but the
   unpacked bundle.
4. ``esrdeploy verify --returned`` judges what came out.

Everything lies in the work folder afterwards. rknn-toolkit2 2.5.0 runs on Linux, x86-64 or
aarch64, with Python 3.10 to 3.12.
"""

import argparse
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from deploy.handoff.bundle_zip import unpack

MODEL = "x4plus-anime-6b"
PROFILES = {"quantize": "qnn", "qdq": "qnn", "qdq-mixed": "openvino"}
LABELS = {
    "quantize": "rknn-toolkit2's own int8",
    "qdq": "our QDQ, 8 bits on every edge, on rknn",
    "qdq-mixed": "our QDQ, fp16 trunk and ends, on rknn",
}
# What rknn-toolkit2 needs besides its torch, which it pins to versions without a build for
# newer Pythons: it runs with later ones.
DEPENDENCIES = ("psutil", "ruamel.yaml", "scipy<1.15", "tqdm", "fast-histogram")
LATE = ("rknn-toolkit2", "setuptools")


def esrdeploy(*arguments: str | Path) -> int:
    """Run the command line of this very installation; return its exit code."""
    code = "from deploy.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=False
    ).returncode


def make_environment(folder: Path, requirements: Path, torch: str) -> Path:
    """Return the Python of an environment with rknn-toolkit2; make it where it is not there."""
    python = folder / "bin" / "python"
    wanted = f"{torch}\n{requirements.read_text()}"
    marker = folder / "installed.txt"
    if marker.is_file() and marker.read_text() == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True)
    pins = requirements.read_text().split()
    late = [pin for pin in pins if pin.startswith(LATE)]
    early = [torch, *DEPENDENCIES, *(pin for pin in pins if pin not in late)]
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *early], check=True)
    # Without their dependencies: the one pins an old torch, of the other torch wants a newer one.
    subprocess.run([*install, "--no-deps", *late], check=True)
    marker.write_text(wanted)
    return python


def summary(report: Path, figure: str) -> str:
    """Return mean and minimum of a figure of a verdict, as two cells of a table."""
    found = json.loads(report.read_text())["summary"][figure]
    return f"{found['mean']:.2f} | {found['lowest']:.2f}"


def main() -> None:
    """Go all the way round; exit 1 if a step fails or an output is not accepted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, help=f"folder of a build; default: builds {MODEL}")
    parser.add_argument("--calib-count", default="16", help="pictures to calibrate that build on")
    parser.add_argument("--work", type=Path, default=Path("dist/rknn-roundtrip"))
    parser.add_argument("--venv", type=Path, help="environment to use; default: WORK/venv")
    parser.add_argument("--platform", default="rk3588")
    parser.add_argument("--torch", default="torch==2.13.0+cpu", help="a CPU build of torch")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)

    build = arguments.build
    if build is None:
        build = work / "dist" / MODEL
        targets = [word for name in dict.fromkeys(PROFILES.values()) for word in ("--target", name)]
        options = ["--model", MODEL, "--calib-count", arguments.calib_count, *targets]
        if esrdeploy("build", *options, "--out", build.parent) != 0:
            raise SystemExit("the build failed")
    bundle = work / "handoff.zip"
    if esrdeploy("handoff", "--vendor", "rknn", build, "--out", bundle) != 0:
        raise SystemExit("the bundle was not made")
    unpacked = work / "bundle"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpack(bundle, unpacked)
    folder = unpacked / "rknn"
    environment = arguments.venv or work / "venv"
    python = make_environment(environment, folder / "requirements.txt", arguments.torch)

    accepted, rows = True, []
    for route, profile in PROFILES.items():
        out = (work / f"out-{route}").resolve()
        options = ["--route", route, "--platform", arguments.platform, "--out", out]
        subprocess.run([python.absolute(), "rknn_run.py", *options], cwd=folder, check=True)
        options = ["--profile", profile, "--report", out / "verdict.html"]
        status = esrdeploy("verify", "--returned", out / "returned", bundle, *options)
        accepted = accepted and status == 0
        report = out / "verdict.json"
        rows.append(f"| {LABELS[route]} | {summary(report, 'returned_db')} |")
        if route != "quantize":
            meaning = f"our QDQ ({profile}), in QDQ reference semantics"
            rows.append(f"| {meaning} | {summary(report, 'our_int8_db')} |")
    print("\n| int8 | parity with float, dB mean | min |\n|---|---|---|")
    print("\n".join(rows))
    if not accepted:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
