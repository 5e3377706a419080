"""The vendor that docs/add-a-vendor.md shows is one: the page is where this test takes it from."""

import re
from pathlib import Path

import numpy as np
import pytest

from deploy.handoff import vendors
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.check import check_bundle
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.progress import Silent

PAGE = Path(__file__).parents[3] / "docs" / "add-a-vendor.md"


@pytest.fixture
def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def added(examples: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first example of the page, put where vendors lie."""
    folder = tmp_path / "more-vendors"
    folder.mkdir()
    (folder / "sophgo.py").write_text(examples[0])
    monkeypatch.setattr(vendors, "__path__", [*vendors.__path__, str(folder)])
    vendors.vendors.cache_clear()
    yield vendors.find_vendor("sophgo")
    vendors.vendors.cache_clear()


def test_one_file_is_a_target(added, examples, small_build: Path, tmp_path: Path) -> None:
    request = HandoffRequest(small_build, ("sophgo",), out=tmp_path / "x.zip")
    outcome = make_handoff(request, Silent())
    assert check_bundle(outcome.path, Silent()).passed
    with opened(outcome.path) as root:
        readme = (root / "sophgo" / "README.md").read_text()
        assert "--model_def ../models/small-fp32-openvino-grid.onnx" in readme
        assert "sophgo/README.md" in (root / "README.md").read_text()
        names: dict[str, object] = {}
        exec(compile(examples[1], str(PAGE), "exec"), names)
        names["test_inputs_are_the_golden_inputs"](root)
        vector = read_contents(root).golden[0]
        with np.load(root / "sophgo" / "npz" / f"{vector.name}.npz") as archive:
            expected = np.load(root / golden_path("input", vector.name))
            np.testing.assert_array_equal(archive["input"], expected)


def test_the_page_names_what_there_is() -> None:
    from deploy.handoff.vendor import BundleContext, Vendor

    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`context\.([a-z_0-9]+)", text):
        assert hasattr(BundleContext, name) or name in BundleContext.__dataclass_fields__, name
    for name in Vendor.__dataclass_fields__:
        assert f"| `{name}` |" in text
