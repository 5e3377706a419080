"""A picture is written while it is drawn: memory does not grow with its height."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.upscale.conftest import image, photo

resource = pytest.importorskip("resource", reason="peak memory is asked of a Unix system")

DRAW = """
import resource, sys
from pathlib import Path
import numpy as np
from deploy.upscale.photograph import read_photograph
from deploy.upscale.write_picture import Drawing, write_picture

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

folder, suffix = Path(sys.argv[1]), sys.argv[2]
like = read_photograph(folder / "like.png")
peaks = []
for rows in (500, 6500):
    band = np.full((100, 6000, 3), 90, np.uint8)
    drawing = Drawing(rows, 6000, 3, 8, (band for _ in range(rows // 100)))
    write_picture(folder / f"out{suffix}", drawing, like, (rows * 5 // 8, 3750), 90)
    peaks.append(peak_mb())
print(peaks[1] - peaks[0])
"""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_memory_does_not_grow_with_the_height(suffix: str, tmp_path: Path) -> None:
    image(photo()).pngsave(str(tmp_path / "like.png"))
    command = [sys.executable, "-c", DRAW, str(tmp_path), suffix]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole_mb = 6000 * 6000 * 3 / 1e6
    assert float(done.stdout) < whole_mb / 3
