"""Make many small builds in one process, spoil some of them at random, and look for what is left.

    python tools/soak.py 200

Each build is of a network of one block at 32x32. One in two meets a fault: a disk that is full, an
interrupt at a random moment, weights that are spoiled, a stage of an interrupted build that is
damaged. Exits 1 if a good build fails or its files differ from the first one's, if a fault does
not end as it should, or if memory, open files, threads, processes or temporary folders grow.
"""

import argparse
import io
import os
import random
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from deploy.cli import app  # noqa: E402  # from beside this script
from tools.check_determinism import digests  # noqa: E402
from tools.small_network import write_small_network  # noqa: E402

NAME = "soaked"
_WARM = 0.2  # of the builds pass before memory is compared
_MORE_MB = 40.0  # what an allocator may keep
_LONGEST_S = 1.5  # after which an interrupt comes at the latest


@dataclass(frozen=True)
class Held:
    """What a process holds between two builds.

    Attributes:
        memory_mb: resident, 10^6 bytes.
        files: open file descriptors.
        threads: of it.
        children: processes that it started and that live.
        temporary: entries of its temporary folder.
    """

    memory_mb: float
    files: int
    threads: int
    children: int
    temporary: int

    @classmethod
    def now(cls) -> "Held":
        """Look at this process."""
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        children = sum(len(task.read_text().split()) for task in own.glob("task/*/children"))
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len([*(own / "fd").iterdir()]),
            threading.active_count(),
            children,
            len([*Path(tempfile.gettempdir()).iterdir()]),
        )


def build(out: Path, weights: Path) -> tuple[int, str]:
    """Run a build in this process; return its exit code and what it said."""
    said = io.StringIO()
    words = ["build", "--weights", str(weights), "--name", NAME, "--out", str(out)]
    words += ["--size", "32", "--calib-count", "2", "--rounding", "nearest", "--no-report"]
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            app(words, prog_name="esrdeploy")
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


@contextmanager
def full_disk(chance: random.Random) -> Iterator[None]:
    """Let every file end after some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (chance.randrange(0, 60_000), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def interrupt(chance: random.Random) -> Iterator[None]:
    """Send SIGINT at some moment."""
    timer = threading.Timer(chance.uniform(0.0, _LONGEST_S), signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        yield
    except KeyboardInterrupt:  # behind the last line of the build
        pass
    finally:
        timer.cancel()
        timer.join()


def spoiled(weights: Path, chance: random.Random) -> Path:
    """Return weights that are cut short."""
    content = weights.read_bytes()
    path = weights.with_name("spoiled.safetensors")
    path.write_bytes(content[: chance.randrange(len(content))])
    return path


def damage(out: Path, chance: random.Random) -> None:
    """Turn a byte over in each file of an interrupted build, if there is one."""
    for path in sorted((out / NAME / ".unfinished").glob("*.*")):
        content = bytearray(path.read_bytes())
        if content:
            content[chance.randrange(len(content))] ^= 0xFF
            path.write_bytes(content)


def soak(count: int, chance: random.Random, say: Callable[[str], None]) -> list[str]:
    """Make the builds; return what was wrong."""
    problems: list[str] = []
    ends: Counter[str] = Counter()
    held: list[Held] = []
    with tempfile.TemporaryDirectory(prefix="esrdeploy-soak-") as folder:
        (Path(folder) / "tmp").mkdir()
        tempfile.tempdir = str(Path(folder) / "tmp")
        weights, out = write_small_network(Path(folder) / "small.safetensors"), Path(folder) / "out"
        expected: dict[str, str] = {}
        for number in range(count):
            fault = chance.choice(["full disk", "interrupt", "weights", "damage"])
            fault = fault if number and chance.random() < 0.5 else "none"
            if fault == "damage":
                damage(out, chance)
            given = spoiled(weights, chance) if fault == "weights" else weights
            around = {"full disk": full_disk, "interrupt": interrupt}.get(fault)
            with around(chance) if around else nullcontext():
                code, said = build(out, given)
            ends[f"{fault}: exit {code}"] += 1
            fine = {"weights": {2}, "full disk": {0, 2}, "interrupt": {0, 130}}.get(fault, {0})
            if code not in fine or "Traceback" in said:
                problems.append(f"build {number}, {fault}: exit {code}: {said[-300:]}")
            if code == 0:
                found = digests(out)
                expected = expected or found
                if found != expected:
                    problems.append(f"build {number}, {fault}: other bytes")
                shutil.rmtree(out)
            held.append(Held.now())
            if number % 10 == 0:
                say(f"{number + 1}: {asdict(held[-1])}")
        problems += growth(held[int(count * _WARM) :])
        tempfile.tempdir = None
    say(f"{dict(sorted(ends.items()))}; from {held[0]} to {held[-1]}")
    return problems


def growth(held: list[Held]) -> Iterator[str]:
    """Say what grew from the first quarter to the last."""
    quarter = max(1, len(held) // 4)
    for name in asdict(held[0]):
        first = statistics.median(getattr(one, name) for one in held[:quarter])
        last = statistics.median(getattr(one, name) for one in held[-quarter:])
        if last > first + (_MORE_MB if name == "memory_mb" else 0):
            yield f"{name} grew from {first:g} to {last:g}"


def main() -> None:
    """Soak, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311  # faults are no secrets
    problems = soak(options.builds, chance, lambda line: print(line, flush=True))
    for problem in problems:
        print(problem)
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
