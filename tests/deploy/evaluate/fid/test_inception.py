"""Feature networks of each kind: small stand-ins for an Inception."""

import sys
import types
from pathlib import Path
from urllib.error import URLError

import numpy as np
import onnx
import pytest
import torch

from calib.colours import RGB
from calib.digest import sha256_file
from calib.errors import GraphError, UsageError
from calib.images import resize_area, to_input
from deploy.evaluate.fid.inception import feature_network
from deploy.evaluate.fid.inception_onnx import INCEPTION_PX

POOLING = """
<ir_version: 8, opset_import: ["": 17]>
pooling (float[{batch},3,{height},{width}] image) => (float[{batch},3,1,1] features)
{{
    features = GlobalAveragePool(image)
}}
"""
CODES = """
<ir_version: 8, opset_import: ["": 17]>
codes (uint8[1,3,8,8] image) => (float[1,3,1,1] features)
{
    values = Cast<to = 1>(image)
    features = GlobalAveragePool(values)
}
"""


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def saved(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "features.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return path


@pytest.mark.parametrize(
    ("dims", "size"),
    [(("20", "30"), (20, 30)), (("H", "W"), (INCEPTION_PX, INCEPTION_PX))],
    ids=["fixed", "free"],
)
@pytest.mark.parametrize("batch", ["1", "N"])
def test_an_onnx_network_sees_the_picture_at_its_size(
    tmp_path: Path,
    picture: np.ndarray,
    batch: str,
    dims: tuple[str, str],
    size: tuple[int, int],
) -> None:
    path = saved(tmp_path, POOLING.format(batch=batch, height=dims[0], width=dims[1]))
    network = feature_network(str(path))
    expected = to_input(resize_area(picture, *size), RGB).mean(axis=(0, 2, 3), dtype=float)
    np.testing.assert_allclose(network.features(picture), expected, rtol=1e-4)
    assert (network.name, network.sha256) == (path.name, sha256_file(path))


def test_an_onnx_network_of_codes_gets_codes(tmp_path: Path, picture: np.ndarray) -> None:
    network = feature_network(str(saved(tmp_path, CODES)))
    expected = resize_area(picture, 8, 8).mean(axis=(0, 1))
    np.testing.assert_allclose(network.features(picture), expected, rtol=1e-5)


def test_a_torchscript_network_gives_its_first_output(tmp_path: Path, picture: np.ndarray) -> None:
    class Pooling(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return image.mean(dim=(2, 3)), image

    path = tmp_path / "features.pt"
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(Pooling()).save(str(path))
    expected = to_input(resize_area(picture, 299, 299), RGB).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(feature_network(str(path)).features(picture), expected, rtol=1e-4)


def test_what_is_no_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.onnx.*torch-fidelity"):
        feature_network(str(tmp_path / "absent.onnx"))
    for name, message in (("text.onnx", "no ONNX model"), ("text.pt", "no TorchScript module")):
        (tmp_path / name).write_text("neither")
        with pytest.raises(GraphError, match=message):
            feature_network(str(tmp_path / name))
    two = POOLING.format(batch="1", height="8", width="8").replace(
        "image) =>", "image, float[1] other) =>"
    )
    with pytest.raises(GraphError, match="takes 2 inputs"):
        feature_network(str(saved(tmp_path, two)))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(UsageError, match=r"pip install .*torch-fidelity"):
        feature_network("torch-fidelity")


def packaged(monkeypatch: pytest.MonkeyPatch, extractor: object) -> None:
    """Put a package of that name in place, with the extractor given."""
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = extractor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("deploy.evaluate.fid.inception_torch.version", lambda _name: "0.4.0")


def test_the_extra_gets_the_picture_in_8_bits(
    monkeypatch: pytest.MonkeyPatch, picture: np.ndarray
) -> None:
    def extractor(_name: str, features: list[str]) -> object:
        assert features == ["2048"]
        return lambda pixels: (pixels.to(torch.float32).mean(dim=(2, 3)),)

    packaged(monkeypatch, extractor)
    network = feature_network("torch-fidelity")
    assert (network.name, network.sha256) == ("torch-fidelity 0.4.0", None)
    np.testing.assert_allclose(network.features(picture), picture.mean(axis=(0, 1)), rtol=1e-5)


def test_weights_that_cannot_be_downloaded_are_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def extractor(_name: str, _features: list[str]) -> object:
        raise URLError("no route to host")

    packaged(monkeypatch, extractor)
    with pytest.raises(UsageError, match=r"downloads its Inception weights.*no route to host"):
        feature_network("torch-fidelity")
