"""Record what a folder of outputs was made from, so that nothing else goes on in it.

simulation.json   this
ROUTE             a folder for each route:
    returned      NAME.npy of each golden input
    work          what the toolchain built
    STAGE.log     what a stage of it said
    usage.json    what each stage took (usage.py)
    verdict.html  the verdict on the outputs, with its record beside it
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib.errors import UsageError
from calib.files import make_folder, write_atomically
from calib.records import PlainName, Sha256, encode, read

NAME = "simulation.json"
SCHEMA: Literal["esrdeploy.simulation/1"] = "esrdeploy.simulation/1"


@dataclass(frozen=True)
class SimulationRecord:
    """What outputs were made from.

    Attributes:
        bundle_sha256: digest of the bundle's manifest, which names every file of it.
        toolchain: that ran it.
        environments: names of its virtual environments, which follow from their pins.
        schema: version of the format.
    """

    bundle_sha256: Sha256
    toolchain: PlainName
    environments: tuple[PlainName, ...]
    schema: Literal["esrdeploy.simulation/1"] = SCHEMA


def open_folder(folder: Path, record: SimulationRecord) -> None:
    """Make a folder of outputs, or go on in one of the same bundle, toolchain and pins.

    Raises:
        UsageError: it holds something else, or cannot be written.
    """
    path = folder / NAME
    if path.is_file():
        found = read(path, SimulationRecord, UsageError, "name another folder with --out")
        if found != record:
            raise UsageError(
                f"{folder} holds what {found.toolchain} made of another bundle, or with other "
                "versions; name another folder with --out, or take that one away"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is there already and is no folder of outputs; name another with --out"
        )
    made = not folder.exists()
    make_folder(folder)
    try:
        write_atomically(path, encode(record))
    except UsageError:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise
