"""A build that is taken up again does no finished stage twice, and ends with the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from calib.digest import sha256_file
from deploy.artifacts.files import UNFINISHED_NAME
from deploy.build import kept_export, kept_rounding, quantize
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.network.load import load_network
from deploy.pipeline import build_model
from deploy.progress import Silent


class Killed(BaseException):
    """Stands for the end of the process."""


def request(weights: Path, out: Path) -> BuildRequest:
    return BuildRequest(
        "tiny",
        targets=("ort", "qnn"),
        weights=weights,
        calibration=CalibrationRequest(count=2),
        out=out,
        report=False,
    )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir() if path.is_file()}


def test_finished_stages_are_not_done_again(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build_model(request(tiny_weights, tmp_path / "whole"), Silent()).folder
    again = request(tiny_weights, tmp_path / "again")
    rounded: list[str] = []
    rounds = quantize.round_weights

    def counted(prepared: Any, *args: Any, **options: Any) -> Any:
        rounded.append(prepared.plan.target)
        return rounds(prepared, *args, **options)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(quantize, "round_weights", counted)
    with monkeypatch.context() as patch:
        patch.setattr("deploy.pipeline.check_contents", killed)
        with pytest.raises(Killed):
            build_model(again, Silent())
    assert rounded == ["ort", "qnn"]
    with monkeypatch.context() as patch:
        patch.setattr("deploy.network.export.export_float", killed)
        patch.setattr("deploy.build.calibrate.calibrate", killed)
        folder = build_model(again, Silent()).folder
    assert rounded == ["ort", "qnn"]
    assert digests(folder) == digests(whole)
    assert not (folder / UNFINISHED_NAME).exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("pattern", [kept_export.EXPORT_NAME, "*.rounding"])
def test_a_damaged_stage_is_done_again(
    pattern: str, share: float, left: Path, tiny_weights: Path, tmp_path: Path
) -> None:

    stage = Path(shutil.copytree(left, tmp_path / "stage"))
    files = [*stage.glob(pattern)]
    assert files
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    asked = request(tiny_weights, tmp_path)
    if pattern == kept_export.EXPORT_NAME:
        assert kept_export.find_export(stage, load_network("tiny", tiny_weights), asked) is None
    else:
        assert all(kept_rounding.read_rounding(path, "0" * 64) is None for path in files)


@pytest.fixture(scope="module")
def left(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build leaves that ends before it is whole."""
    asked = request(tiny_weights, tmp_path_factory.mktemp("left"))

    def killed(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploy.pipeline.check_contents", killed)
        with pytest.raises(Killed):
            build_model(asked, Silent())
    return asked.folder / UNFINISHED_NAME


def test_another_network_does_not_take_it(
    left: Path, tiny_x2_weights: Path, tiny_weights: Path, tmp_path: Path
) -> None:

    asked = request(tiny_weights, tmp_path)
    own, other = load_network("tiny", tiny_weights), load_network("tiny", tiny_x2_weights)
    assert kept_export.find_export(left, own, asked) is not None
    assert kept_export.find_export(left, other, asked) is None
