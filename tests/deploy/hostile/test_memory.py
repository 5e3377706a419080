"""What asks for terabytes is refused within 2 GB, all of it in one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.builds import ARRAYS, copied
from tests.deploy.hostile import test_pictures, test_records, test_returned, test_weights

MOST_BYTES = 2 << 30
RUN = """
import json, sys
from pathlib import Path
from typer.testing import CliRunner
from deploy.cli import app
codes = [CliRunner().invoke(app, command).exit_code for command in json.load(sys.stdin)]
lines = Path("/proc/self/status").read_text().splitlines()
(peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
print(json.dumps([codes, peak * 1024]))
"""  # not getrusage: its peak begins with that of the process that started this one


@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is read from /proc")
def test_memory(built: Path, vacc_only: Path, tiny_weights: Path, tmp_path: Path) -> None:
    commands, build = [], ["build", "--model", "tiny", "--out", str(tmp_path / "out")]
    own = ["--weights", str(tiny_weights)]
    for name in ("zip bomb", "mapping that multiplies", "strides of 0", "a shape of 10^12"):
        lie = test_weights.LIES[name]
        path = tmp_path / name.replace(" ", "-") / lie.file
        path.parent.mkdir()
        path.write_bytes(lie.make(tiny_weights.read_bytes()))
        commands.append([*build, "--weights", str(path)])
    for name in ("a PNG of 30,000 x 30,000", "a JPEG of 30,000 x 30,000", "a TIFF of 2^30 rows"):
        file, make, _ = test_pictures.LIES[name]
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        (folder / file).write_bytes(make())
        commands.append([*build, *own, "--calib", str(folder)])
    for name in ("a bomb", "10^15 values"):
        folder = copied(built, tmp_path / name.replace(" ", "-"))
        test_records.ARCHIVES[name](folder / ARRAYS)
        commands.append([*build, *own, "--calib-table", str(folder / "calibration.json")])
    returned = tmp_path / "returned"
    returned.mkdir()
    test_returned.NPY["10^15 values"][0](returned / "00-chelsea.npy", None)
    page = ["--report", str(tmp_path / "page.html")]
    commands.append(["verify", "--returned", str(returned), str(vacc_only), *page])
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
    )
    codes, most = json.loads(done.stdout.splitlines()[-1])
    assert codes == [2] * (len(commands) - 1) + [1]
    assert most < MOST_BYTES
