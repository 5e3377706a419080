"""The file of parameters: read back, the published values by default, and refused where absurd."""

import json
import re
from pathlib import Path

import pytest

from calib.degradation.parameters import DegradationParameters, read_parameters
from calib.errors import UsageError
from calib.records import encode

PUBLISHED = json.loads(encode(DegradationParameters()))
PAGE = (Path(__file__).parents[3] / "docs" / "degradation.md").read_text()


def test_the_page_shows_the_file_of_the_defaults(tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "parameters.json"
    path.write_text(block)
    assert read_parameters(path) == DegradationParameters()
    for name in (*PUBLISHED, *PUBLISHED["first"]):
        assert name == "schema" or f"`{name}`" in PAGE, name


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("first", "sigma_range_px"), [3.0, 0.2], "the lower first"),
        (("first", "sigma_range_px"), [0.0, 0.2], "from 0.01"),
        (("second", "plateau_beta_range"), [1.5, 2.0], "with 1 between them"),
        (("second", "resize_range"), [1.1, 1.2], "with 1 between them"),
        (("first", "jpeg_quality_range"), [0, 95], "from 1 to 100"),
        (("first", "poisson_scale_range"), [-1, 3], "poisson_scale_range -1 to 3"),
        (("first", "resize", "up"), 0.9, "add up to 1.7, not 1"),
        (("second", "kernels", "iso"), 0.5, "add up to 1.05, not 1"),
        (("final_sinc_probability",), 1.5, "final_sinc_probability is 1.5"),
        (("first", "blur_probability"), "often", 'first.blur_probability is "often"'),
        (("schema",), "esrdeploy.degradation-parameters/0", "schema is"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(
    where: tuple[str, ...], value: object, said: str, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(PUBLISHED))
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        read_parameters(path)
    assert str(path) in str(refused.value)
    assert "docs/degradation.md" in str(refused.value)


def test_no_key_may_be_missing(tmp_path: Path) -> None:
    document = json.loads(json.dumps(PUBLISHED))
    del document["second"]["gray_probability"]
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"second\.gray_probability is missing"):
        read_parameters(path)
