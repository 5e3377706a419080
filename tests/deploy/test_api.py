"""The functions for Python do what the commands do, and docs/python.md shows it."""

import re
from pathlib import Path

import numpy as np
import pytest

from calib.errors import UsageError
from calib.images import read_image
from deploy import api
from tests.deploy.builds import run
from tests.deploy.upscale.conftest import image, photo

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_runs(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(BLOCKS).replace(
        'BuildRequest("animevideov3", calibration=CalibrationRequest(count=12))',
        'BuildRequest("tiny", weights=WEIGHTS, calibration=CalibrationRequest(count=2))',
    )
    assert "WEIGHTS" in code
    code = code.replace("verify(outcome.folder)", "verify(outcome.folder, weights=WEIGHTS)")
    names: dict[str, object] = {"WEIGHTS": tiny_weights}
    exec(code, names)  # our own page
    printed = capsys.readouterr().out
    assert "tiny-int8-ort.onnx" in printed
    assert "verified" in printed
    assert (tmp_path / "dist/tiny-openvino-handoff.zip").is_file()


@pytest.mark.parametrize("shape", [(20, 24, 3), (20, 24, 1), (20, 24, 4), (20, 24)])
@pytest.mark.parametrize("bits", [8, 16])
def test_upscale_draws_what_the_command_draws(
    built: Path, tmp_path: Path, shape: tuple[int, ...], bits: int
) -> None:
    channels = shape[2] if len(shape) == 3 else 1
    samples = photo(*shape[:2], channels=channels, bits=bits)
    large = api.upscale(samples if len(shape) == 3 else samples[:, :, 0], built)
    assert large.dtype == samples.dtype
    assert large.shape == (80, 96, *shape[2:])
    if channels == 3 and bits == 8:
        image(samples).pngsave(str(tmp_path / "in.png"))
        result = run("upscale", tmp_path / "in.png", tmp_path / "out.png", "--model", built)
        assert result.exit_code == 0
        np.testing.assert_array_equal(read_image(tmp_path / "out.png"), large)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
    ids=["float", "five channels", "empty", "one axis"],
)
def test_what_is_no_picture_is_refused(built: Path, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="expected uint8 or uint16"):
        api.upscale(picture, built)


def test_a_request_that_cannot_be_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        api.build(api.BuildRequest("x4plus", targets=("abacus",), out=tmp_path))
    assert not list(tmp_path.iterdir())


def test_everything_named_is_there_and_documented() -> None:
    for name in api.__all__:
        assert getattr(api, name).__doc__, name
