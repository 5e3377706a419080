"""The verdict on a return through the command line, as JSON and as a page."""

import json
import re
from pathlib import Path

import numpy as np

from calib.images import to_picture
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import judge, save_all, shifted


class TestCommand:
    """The command line: exit codes, JSON, and the page."""

    def test_accepted(self, folder: Path, here: Path, unpacked: Path, outputs) -> None:
        save_all(folder, outputs)
        before = sorted(folder.iterdir())
        words = ("verify", "--returned", folder, unpacked, "--vendor", "openvino")
        result = run(*words, "--report", "verdict.html")
        assert result.exit_code == 0, result.output
        assert "accepted" in result.stdout
        assert "beside our openvino" in result.stdout
        assert "report: verdict.html, and verdict.json beside it" in result.stdout
        assert sorted(folder.iterdir()) == before
        assert {path.name for path in here.iterdir()} == {"verdict.html", "verdict.json"}

    def test_not_accepted(self, folder: Path, here: Path, unpacked: Path, outputs) -> None:
        save_all(folder, outputs, lambda array: array[:, ::-1])
        words = ("verify", "--returned", folder, unpacked, "--vendor", "openvino")
        result = run(*words, "--json", "--report", "verdict")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert not found["passed"]
        assert "channels swapped" in found["cause"]
        (line,) = found["too_far_off"]
        assert line.startswith("too far off: 8 of 8 outputs, the worst ")
        assert found["outputs"][0]["finding"]["psnr_db_after"] > 50
        assert json.loads((here / "verdict.json").read_text()) == found

    def test_bad_usage(self, tmp_path: Path, unpacked: Path) -> None:
        result = run("verify", "--returned", tmp_path / "absent", unpacked, "--vendor", "rknn")
        assert result.exit_code == 2
        assert "found no folder" in result.stderr
        file = tmp_path / "00-x.npy"
        file.write_bytes(b"")
        result = run("verify", "--returned", file, unpacked, "--vendor", "rknn")
        assert f"found a file {file}; expected the folder" in result.stderr
        result = run("verify", tmp_path)
        assert result.exit_code == 2
        assert f"'esrdeploy verify --returned {tmp_path} BUNDLE' judges" in result.stderr

    def test_the_page_is_whole_and_fetches_nothing(
        self, folder: Path, unpacked: Path, outputs, tmp_path: Path
    ) -> None:
        save_all(folder, outputs, shifted)
        np.save(folder / "<script>.npy", np.zeros(3))
        page = tmp_path / "report" / "page.html"
        page.parent.mkdir()
        run("verify", "--returned", folder, unpacked, "--vendor", "openvino", "--report", page)
        html = page.read_text()
        assert page.with_suffix(".json").is_file()
        assert "Not accepted as int8" in html
        assert "Likely cause:" in html
        # What is wrong is said before any figure, however good that is.
        assert html.index("outputs do not pass") < html.index(" dB</b> returned against float")
        assert "<script" not in html
        assert "&lt;script&gt;.npy" in html
        sources = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)]*)', html)
        assert len(sources) == 3 * 8
        assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
        assert html.count('alt="') == len(sources)
        assert "prefers-color-scheme: dark" in html


def test_the_returned_pictures_of_a_report_are_those(folder: Path, unpacked: Path, outputs) -> None:
    save_all(folder, outputs)
    found = judge(folder, unpacked)
    for name, (expected, picture) in found.pictures.items():
        assert expected.shape == (256, 256, 3)
        np.testing.assert_array_equal(picture, to_picture(outputs[name]))
