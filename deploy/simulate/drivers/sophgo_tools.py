"""Call the command line tools of TPU-MLIR, in an environment that they start in."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from golden_job import package_folder

BROUGHT = ("libc.so.6", "libm.so.6", "libpthread.so.0")
BROUGHT_VERSION = (2, 35)
CHIP = "bm1684x"


def put_glibc_aside() -> None:
    """Move the glibc that the package brings out of the way of a newer one of this machine.

    Python was linked with this machine's; beside an older one the tools end in ``version GLIBC_2.36
    not found``.
    """
    here = tuple(map(int, platform.libc_ver()[1].split(".")[:2]))
    folder = package_folder("tpu_mlir") / "lib" / "third_party"
    aside = folder / "_glibc"
    for name in BROUGHT if here > BROUGHT_VERSION else ():
        if (folder / name).exists():
            aside.mkdir(exist_ok=True)
            shutil.move(folder / name, aside / name)


def call(folder: Path, tool: str, *words: object) -> None:
    """Run a tool in a folder of its own, as it leaves a dozen files where it is called.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, str(Path(sys.executable).parent / tool), *map(str, words)]
    ended = subprocess.run(command, cwd=folder, check=False)  # noqa: S603  # of the toolchain
    if ended.returncode != 0:
        raise SystemExit(f"{tool} failed: exit code {ended.returncode}")
