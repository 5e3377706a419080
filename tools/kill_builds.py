"""Kill builds at random moments, and say how many end with the same bytes when they are run again.

    python tools/kill_builds.py 50 --model tiny --weights tiny.safetensors --target ort

What stands behind the number is given to ``esrdeploy build``. First a build is made undisturbed;
then, that many times, a build into an empty folder is killed with SIGKILL, process group and all,
somewhere between its first and its last moment; what it leaves is asked for, and it is run again
to its end. Moments are told by the time that its processor took, which a loaded machine leaves as
it is. Exits 1 if anything that a killed build left was taken for a whole one, or if one ended with
other bytes.
"""

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from calib.digest import sha256_file  # noqa: E402  # from beside this script

_COMMAND = [sys.executable, "-c", "from deploy.cli import main; main()"]
_KEPT = re.compile(r"^using the (.+?) (?:of|float|table)", re.MULTILINE)
_LOOK_EVERY_S = 0.005


def start(arguments: list[str], out: Path) -> subprocess.Popen[str]:
    """Start a build that says on a pipe what it does; temporary folders lie beside ``out``."""
    return subprocess.Popen(
        [*_COMMAND, "build", *arguments, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(out.parent)},
        start_new_session=True,
    )


def used_s(process: subprocess.Popen[str]) -> float:
    """Return the processor time that a process that runs has taken, seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)


def killed(arguments: list[str], out: Path, moment_s: float) -> bool:
    """Kill a build when its processor time reaches a moment; say whether it had not ended."""
    process = start(arguments, out)
    while process.poll() is None and used_s(process) < moment_s:
        time.sleep(_LOOK_EVERY_S)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def whole_build(arguments: list[str], out: Path) -> str:
    """Run a build to its end and return what it said of its progress."""
    process = start(arguments, out)
    _, said = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"a build exits with {process.returncode}:\n{said}")
    return said


def digests(out: Path) -> dict[str, str]:
    """Return the sha256 of every file under a folder, by path."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in files}


def taken_for_whole(out: Path, expected: dict[str, str]) -> bool:
    """Tell whether ``verify`` passes what a killed build left, and it is not the whole build."""
    visible = {name: digest for name, digest in digests(out).items() if "/." not in name}
    if visible == expected:
        return False
    verify = [*_COMMAND, "verify", str(out), "--backend", "none"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(verify, capture_output=True, env=env, check=False).returncode == 0


def main() -> None:
    """Kill, ask, run again, compare, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options, arguments = parser.parse_known_args()
    moments = random.Random(options.seed)  # noqa: S311  # moments are no secrets
    taken = different = 0
    kept: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="esrdeploy-kills-") as folder:
        whole_build(arguments, Path(folder) / "reference")
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        lasts_s = usage.ru_utime + usage.ru_stime
        expected = digests(Path(folder) / "reference")
        for number in range(options.kills):
            out = Path(folder) / str(number)
            while not killed(arguments, out, moments.uniform(0.0, lasts_s)):
                shutil.rmtree(out)
            taken += out.is_dir() and taken_for_whole(out, expected)
            kept.update(_KEPT.findall(whole_build(arguments, out)))
            different += digests(out) != expected
            shutil.rmtree(out)
            print(
                f"{number + 1}: {taken} taken for whole, {different} different, {dict(kept)}",
                flush=True,
            )
    print(
        f"{options.kills} builds killed within {lasts_s:.0f} s of processor time: {taken} taken "
        f"for whole, {different} ended with other bytes; kept: {dict(kept)}"
    )
    if taken or different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
