"""What a discriminator says of pictures, square by square, and in the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from calib.colours import RGB
from calib.errors import ImageError
from calib.images import resize_area, to_input, write_image
from deploy.evaluate.critic import SQUARE_PX, Critic, CriticMeter, CriticScore, squares
from tests.deploy.builds import run
from tests.deploy.network.unet import old_norm, trained


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("critic") / "net_d_1.pth"
    torch.save({"params": trained(old_norm).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:300, :280])


def torch_logits(picture: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return (
            trained(old_norm)(torch.from_numpy(to_input(picture, RGB))).numpy().astype(np.float64)
        )


@pytest.mark.parametrize("height", [8, 15, 255, 256, 263, 264, 511, 520])
def test_squares_cover_a_picture_but_for_seven_pixels_at_most(height: int) -> None:
    rows = np.arange(height) % 256
    picture = np.broadcast_to(rows[:, None, None], (height, 16, 3)).astype(np.uint8)
    found = list(squares(picture))
    side = min(SQUARE_PX, height // 8 * 8)
    assert {square.shape for square in found} == {(side, 16, 3)}
    covered = np.zeros(height, bool)
    for square in found:
        starts = [s for s in range(height - side + 1) if picture[s, 0, 0] == square[0, 0, 0]]
        covered[starts[-1] : starts[-1] + side] = True
        covered[starts[0] : starts[0] + side] = True
    assert height - covered.sum() < 8


def test_a_score_is_the_mean_over_squares(checkpoint: Path, photograph: np.ndarray) -> None:
    score = Critic.load(checkpoint).score(photograph)
    tops, lefts = (0, 300 - 256), (0, 280 - 256)
    logits = [torch_logits(photograph[t : t + 256, s : s + 256]) for t in tops for s in lefts]
    assert score.logit == pytest.approx(np.mean(logits), abs=1e-5)
    assert score.probability == pytest.approx(
        np.mean(1 / (1 + np.exp(-np.array(logits)))), abs=1e-5
    )


def test_pictures_too_small_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ImageError, match="sides of at least 8"):
        Critic.load(checkpoint).score(np.zeros((7, 64, 3), np.uint8))


def test_a_meter_judges_photographs_once_and_forgets_other_models(checkpoint: Path) -> None:
    meter = CriticMeter(Critic.load(checkpoint))
    pictures = [np.full((16, 16, 3), value, np.uint8) for value in (0, 128, 255)]
    for drawn in pictures[1:]:
        see = meter.scored(2)
        for name in ("a", "b"):
            see(type("Pair", (), {"name": name})(), pictures[0], drawn)
        assert meter.mean() == meter.critic.score(drawn)
    assert len(meter.photographs) == 2
    assert f"{meter.critic.score(pictures[0]).logit:.3f}" in meter.note()
    assert CriticScore.mean([CriticScore(1, 0.2), CriticScore(3, 0.4)]).logit == 2


def test_the_table_has_the_critics_column(built: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "DIV2K"
    hr, lr = folder / "DIV2K_valid_HR", folder / "DIV2K_valid_LR_bicubic" / "X4"
    hr.mkdir(parents=True)
    lr.mkdir(parents=True)
    write_image(hr / "0801.png", resize_area(data.coffee(), 512, 512))
    write_image(lr / "0801x4.png", resize_area(data.coffee(), 128, 128))
    common = ["eval", "--data", folder, "--builds", built.parent, "--model", "tiny", "-p", "int8"]
    result = run(*common, "--critic", checkpoint, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    table = json.loads(result.stdout)
    (row,) = table["rows"]
    assert row["critic"]["ours"] != 0
    assert 0 < row["critic_probability"] < 1
    assert "discriminator of file net_d_1.pth" in table["notes"][-1]
    (header,) = (tmp_path / "out" / "eval-fixed.csv").read_text().splitlines()[:1]
    assert "critic_ours" in header
    refused = run(*common, "--critic", built / "manifest.json")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
