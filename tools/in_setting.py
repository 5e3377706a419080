"""Run commands of esrdeploy in one process that is told another clock and other cores.

    python tools/in_setting.py SETTING

SETTING is JSON: ``threads``, how many cores the process may use; ``days``, how far its clock is
away; ``commands``, the words of each. Beside those of esrdeploy there is ``return BUNDLE FOLDER``,
which writes outputs that a vendor could have sent back. Python's clock is another: libraries that
ask the system themselves are told its own.
"""

import datetime
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

_NOISE = 0.0003  # of a vendor whose chip computes in fp16: not ours, and near enough to be accepted
_DAY_S = 86400


class _Shifted(datetime.datetime):
    """A date whose present is that of :func:`time.time`."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Shifted":
        return cls.fromtimestamp(time.time(), tz)


def shift_clock(days: int) -> None:
    """Let Python's clock be that many days away."""
    now, now_ns, local, greenwich = time.time, time.time_ns, time.localtime, time.gmtime
    time.time = lambda: now() + days * _DAY_S
    time.time_ns = lambda: now_ns() + days * _DAY_S * 10**9
    time.localtime = lambda seconds=None: local(time.time() if seconds is None else seconds)
    time.gmtime = lambda seconds=None: greenwich(time.time() if seconds is None else seconds)
    datetime.datetime = _Shifted  # type: ignore[misc]


def limit_cores(threads: int) -> None:
    """Let the process, and whatever asks how many cores there are, have that many."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.cpu_count = lambda: threads


def return_outputs(bundle: Path, folder: Path) -> None:
    """Write what a vendor might draw in fp16 of a bundle's golden inputs."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(bundle) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith("golden/float/"):
                with archive.open(name) as stream:
                    drawn = np.load(stream)
                noisy = drawn + generator.normal(0, _NOISE, drawn.shape)
                np.save(folder / Path(name).name, noisy.astype(np.float32))


def main() -> None:
    """Run the commands one after the other; exit with the code of the first that fails."""
    setting = json.loads(sys.argv[1])
    limit_cores(setting["threads"])
    shift_clock(setting["days"])
    from deploy.cli import app  # noqa: PLC0415  # what it imports is to find the other clock

    for name, *words in setting["commands"]:
        if name == "return":
            return_outputs(*map(Path, words))
            continue
        try:
            app([name, *words], prog_name="esrdeploy")
        except SystemExit as end:
            if end.code != 0:
                print(f"{name} {' '.join(words)}: exit {end.code}", file=sys.stderr)
                raise


if __name__ == "__main__":
    main()
