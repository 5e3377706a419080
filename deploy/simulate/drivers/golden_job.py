"""Read the job of a driver, and run what it built on the golden inputs that are not done yet.

    python NAME_driver.py JOB.json

Every output is written whole or not at all, so a run that was ended goes on behind the last one.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


def package_folder(module: str) -> Path:
    """Return where a package of the environment lies.

    Raises:
        SystemExit: it is not there.
    """
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"found no package {module}: the environment was changed")
    return Path(next(iter(found.submodule_search_locations)))


@dataclass(frozen=True)
class GoldenJob:
    """What a driver is to do.

    Attributes:
        bundle: root of the unpacked bundle.
        model: the file to begin with.
        route: name of the way through the toolchain.
        work: folder for what is built.
        out: folder for NAME.npy of each input.
        inputs: names of golden inputs.
        calibration: the bundle's calibration pictures, PNG; none where the route needs none.
        stem: what the names of models begin with.
        programs: paths of programs of this machine, by the names that the toolchain's file gives.
    """

    bundle: Path
    model: Path
    route: str
    work: Path
    out: Path
    inputs: tuple[str, ...]
    calibration: tuple[Path, ...]
    stem: str
    programs: Mapping[str, str]

    @classmethod
    def read(cls) -> "GoldenJob":
        """Read the job that the command line names; exit where a package is not the one pinned."""
        given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        for pin in given["pins"]:
            _require(pin)
        return cls(
            bundle=Path(given["bundle"]),
            model=Path(given["model"]),
            route=given["route"],
            work=Path(given["work"]),
            out=Path(given["out"]),
            inputs=tuple(given["inputs"]),
            calibration=tuple(map(Path, given["calibration"])),
            stem=given["stem"],
            programs=given["programs"],
        )

    @property
    def left(self) -> tuple[str, ...]:
        """Names of the golden inputs without an output."""
        return tuple(name for name in self.inputs if not (self.out / f"{name}.npy").is_file())

    def input(self, name: str) -> Any:
        """Return a golden input as the bundle's files take it."""
        return np.load(self.bundle / "golden" / "input" / f"{name}.npy")

    def calibration_input(self, path: Path) -> Any:
        """Return a calibration picture as the float model takes it, float32 [1, C, H, W]."""
        return np.load(self.work / "calibration" / f"{path.stem}.npy")

    def run(self, compute: Callable[[Any], Any]) -> None:
        """Write the output of every golden input that has none; all is built by now.

        Args:
            compute: from a golden input to what the network makes of it.
        """
        (self.work / "ready").touch()  # tells building from drawing
        for name in self.left:
            output = np.ascontiguousarray(compute(self.input(name)))
            part = self.out / f".{name}.part"
            with part.open("wb") as file:
                np.save(file, output)
            os.replace(part, self.out / f"{name}.npy")  # noqa: PTH105  # one step
            print(f"{name}: {output.dtype}{list(output.shape)}", flush=True)


def _require(pin: str) -> None:
    """Exit where a package is not the one that the environment was made for."""
    name, _, version = pin.partition("==")
    found = metadata.version(name.partition("[")[0])
    if found.partition("+")[0] != version.partition("+")[0]:
        raise SystemExit(f"found {name} {found}, expected {version}: the environment was changed")
