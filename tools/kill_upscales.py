"""Kill ``esrdeploy upscale`` at random moments, and say how many second runs end with other bytes.

    python tools/kill_upscales.py 20 photos --builds dist --model animevideov3

What stands behind the folder is given to ``esrdeploy upscale``; the folder may hold pictures and
clips. First it is enlarged undisturbed; then, that many times, into an empty folder, by a process
that is killed with SIGKILL somewhere between its first and its last moment, and run again to its
end. Exits 1 if a killed run left a file under its name that is not whole, or if one ended with
other bytes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_builds import ROOT, digests

_COMMAND = [sys.executable, "-c", "from deploy.cli import main; main()"]


def start(source: str, out: Path, arguments: list[str]) -> subprocess.Popen[str]:
    """Start to enlarge a folder."""
    return subprocess.Popen(
        [*_COMMAND, "upscale", source, str(out), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def enlarge(source: str, out: Path, arguments: list[str]) -> dict[str, str]:
    """Enlarge a folder to the end, and return the digests of all files that are there then."""
    process = start(source, out, arguments)
    _, said = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"a run exits with {process.returncode}:\n{said}")
    return digests(out)


def main() -> None:
    """Kill, look, run again, compare, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("source")
    parser.add_argument("--seed", type=int, default=0)
    options, arguments = parser.parse_known_args()
    moments = random.Random(options.seed)  # noqa: S311  # moments are no secrets
    half_written = different = 0
    finished: list[int] = []
    with tempfile.TemporaryDirectory(prefix="esrdeploy-kills-") as folder:
        began = time.monotonic()
        expected = enlarge(options.source, Path(folder) / "reference", arguments)
        lasts_s = time.monotonic() - began
        for number in range(options.kills):
            out = Path(folder) / str(number)
            process = start(options.source, out, arguments)
            try:
                process.wait(timeout=moments.uniform(0.0, lasts_s))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            there = digests(out) if out.is_dir() else {}
            named = {name: found for name, found in there.items() if not f"/{name}".count("/.")}
            half_written += not named.items() <= expected.items()
            finished.append(len(named))
            different += enlarge(options.source, out, arguments) != expected
            print(f"{number + 1}: {len(named)} of {len(expected)} files were whole when killed")
    print(
        f"{options.kills} runs killed within {lasts_s:.0f} s: {half_written} left a file that was "
        f"not whole, {different} ended with other bytes; whole when killed: {finished}"
    )
    if half_written or different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
