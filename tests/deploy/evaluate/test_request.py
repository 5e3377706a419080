"""Which files of which builds are scored, on which pairs, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from calib.choose_patches import folder_patches
from calib.dataset import Mode
from calib.degradation.parameters import Degradation
from calib.errors import ImageSetError, UsageError, VerificationError
from calib.images import read_image, write_image
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable
from deploy.artifacts.built_model import BuiltModel
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.precision import ModelPrecision
from deploy.evaluate.request import (
    ScoringRequest,
    chosen_pairs,
    find_built_models,
    require_held_out,
)
from tests.deploy.manifests import NOTHING, manifest_of

FILES = {
    "a": [("fp32", None), ("fp16", None), ("int8", "ort"), ("int8", "qnn")],
    "b": [("fp32", None), ("fp16", None), ("int8", "ort")],
    "c": [("fp32", None), ("fp16", None)],
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of three builds, and a folder that is none."""
    folder = tmp_path_factory.mktemp("dist")
    for model, files in FILES.items():
        manifest = manifest_of(model, files, scale=2 if model == "c" else 4)
        (folder / model).mkdir()
        (folder / model / MANIFEST_NAME).write_bytes(manifest.content())
    (folder / "interrupted").mkdir()
    return folder


def found(dist: Path, **wishes) -> list[tuple[str, str, str | None]]:
    """Return build, precision and target of every file that is chosen."""
    items = find_built_models(ScoringRequest(Path("DIV2K"), builds=dist, **wishes))
    return [(i.folder.name, i.artifact.precision, i.artifact.target) for i in items]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        pytest.param(
            {}, [(model, *file) for model in "abc" for file in FILES[model]], id="all by name"
        ),
        pytest.param(
            {"models": ("b", "a")},
            [(model, *file) for model in "ba" for file in FILES[model]],
            id="in the order asked for",
        ),
        pytest.param({"models": ("b", "b")}, [("b", *file) for file in FILES["b"]], id="once"),
        pytest.param(
            {"models": ("a",), "precisions": ("int8", "fp32")},
            [("a", "fp32", None), ("a", "int8", "ort"), ("a", "int8", "qnn")],
            id="precisions, in the order of the build",
        ),
        pytest.param(
            {"models": ("a", "b"), "targets": ("ort",)},
            [
                *(("a", *file) for file in FILES["a"][:3]),
                *(("b", *file) for file in FILES["b"]),
            ],
            id="one target, beside files without one",
        ),
        pytest.param(
            {"models": ("a",), "targets": ("qnn",), "precisions": ("int8",)},
            [("a", "int8", "qnn")],
            id="one target of one precision",
        ),
    ],
)
def test_the_files_that_are_asked_for(wishes, expected, dist) -> None:
    assert found(dist, **wishes) == expected


def test_a_build_is_named_by_its_folder_s_name_or_its_path(
    dist: Path, tmp_path: Path, monkeypatch
) -> None:
    path = str(dist / "b")
    assert found(dist.parent, models=(path,)) == [("b", *file) for file in FILES["b"]]
    assert found(dist, models=("b", path)) == found(dist, models=("b",))
    monkeypatch.chdir(dist)  # where a folder has the name of another build
    other = tmp_path / "a" / MANIFEST_NAME
    other.parent.mkdir()
    other.write_bytes((dist / "c" / MANIFEST_NAME).read_bytes())
    assert found(tmp_path, models=("a",)) == [("a", *file) for file in FILES["c"]]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        pytest.param(
            {"models": ("x4plus",)},
            "found no build of x4plus in {dist}, but a, b, c; run 'esrdeploy build --model x4plus' "
            "first",
            id="no such build",
        ),
        pytest.param(
            {"models": ("x4plus",), "precisions": ("fp16",)},
            "run 'esrdeploy build --model x4plus --precision fp16' first",
            id="with the precision asked for",
        ),
        pytest.param(
            {"models": ("my-own",)},
            "'esrdeploy build --weights FILE --name NAME' makes one",
            id="of no known network",
        ),
        pytest.param({"models": ("interrupted",)}, "found no build of interrupted", id="cut off"),
        pytest.param(
            {"precisions": ("int8",)},
            "the build of c holds no int8 model; add --precision int8 to the build",
            id="no such precision",
        ),
        pytest.param(
            {"models": ("b",), "targets": ("qnn",)},
            "the build of b holds no int8 model for qnn; add --target qnn to the build",
            id="no such target",
        ),
    ],
)
def test_what_is_not_built_is_refused_with_what_builds_it(wishes, message, dist) -> None:
    with pytest.raises(UsageError, match=re.escape(message.format(dist=dist))):
        found(dist, **wishes)


def test_a_folder_without_builds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found no build in .*; run 'esrdeploy build"):
        found(tmp_path)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / MANIFEST_NAME).write_text("{")
    with pytest.raises(VerificationError, match="is not JSON"):
        found(tmp_path)


def test_the_scale_is_the_networks(dist) -> None:
    items = find_built_models(ScoringRequest(Path("DIV2K"), builds=dist))
    assert {item.folder.name: item.scale for item in items} == {"a": 4, "b": 4, "c": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in DIV2K's layout: three HR pictures, X4 of all and X2 of two of them."""
    folder = tmp_path_factory.mktemp("DIV2K")
    rng = np.random.default_rng(0)
    for scale, names in (("X4", ("0801", "0802", "0803")), ("X2", ("0801", "0803"))):
        lr = folder / "DIV2K_valid_LR_bicubic" / scale
        hr = folder / "DIV2K_valid_HR"
        lr.mkdir(parents=True)
        hr.mkdir(exist_ok=True)
        for name in names:
            picture = rng.integers(0, 256, (160, 144, 3), np.uint8)
            write_image(lr / f"{name}{scale.lower()}.png", picture)
            write_image(hr / f"{name}.png", picture)
    return folder


@pytest.mark.parametrize(
    ("shape", "scale", "count", "expected"),
    [
        ("fixed", 4, None, [("0801", "X4"), ("0802", "X4"), ("0803", "X4")]),
        ("fixed", 2, None, [("0801", "X4"), ("0802", "X4"), ("0803", "X4")]),
        ("source", 4, 2, [("0801", "X4"), ("0802", "X4")]),
        ("source", 2, None, [("0801", "X2"), ("0803", "X2")]),
        ("source", 2, 1, [("0801", "X2")]),
    ],
)
def test_pairs_by_name_from_the_folder_of_the_networks_scale(  # one case each
    shape, scale, count, expected, data
) -> None:
    pairs = chosen_pairs(ScoringRequest(data, shape=shape, count=count), scale)
    assert [(pair.name, pair.lr.parent.name) for pair in pairs] == expected
    assert all(pair.hr == data / "DIV2K_valid_HR" / f"{pair.name}.png" for pair in pairs)


def test_a_scale_without_pictures_is_refused(data) -> None:
    with pytest.raises(ImageSetError, match="no evaluation pair"):
        chosen_pairs(ScoringRequest(data, shape="source"), 3)


def built_model(folder: Path, precision: ModelPrecision) -> BuiltModel:
    manifest = manifest_of("m", [("fp32", None), ("fp16", None), ("int8", "ort")])
    (artifact,) = [item for item in manifest.models() if item.precision == precision]
    return BuiltModel(folder, manifest, artifact)


def built_on(
    folder: Path,
    pictures: Path,
    mode: Mode,
    precision: ModelPrecision,
    degradation: Degradation | None = None,
) -> BuiltModel:
    """Return a model of a build whose table says it was calibrated on ``pictures``."""
    patches = folder_patches(pictures, mode=mode, count=2, seed=0, degradation=degradation)
    seen = {"input": TensorStatistics.of(np.zeros((1, 3, 2, 2), np.float32))}
    CalibrationTable(NOTHING, patches.record(), seen).save(folder / "calibration.json")
    return built_model(folder, precision)


@pytest.mark.parametrize("mode", ["whole", "crop"])
@pytest.mark.parametrize(
    ("seen", "precision", "refused"),
    [(True, "int8", True), (False, "int8", False), (True, "fp16", False)],
    ids=["scored on", "held out", "not calibrated"],
)
def test_an_int8_model_is_not_scored_on_what_it_was_calibrated_on(  # noqa: PLR0917  # one case each
    mode, seen, precision, refused, data, tmp_path
) -> None:
    pairs = chosen_pairs(ScoringRequest(data), 4)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    other = np.random.default_rng(1).integers(0, 256, (160, 144, 3), np.uint8)
    write_image(pictures / "other.png", other)
    if seen:
        # Renamed, a whole picture is known by its pixels; a crop by the name of its file.
        name = "renamed.png" if mode == "whole" else pairs[1].lr.name
        write_image(pictures / name, read_image(pairs[1].lr))
    item = built_on(tmp_path, pictures, mode, precision)
    if refused:
        calibrated = f"m-int8-ort.onnx was calibrated on {pairs[1].lr.name}"
        with pytest.raises(UsageError, match=calibrated):
            require_held_out(item, pairs)
    else:
        require_held_out(item, pairs)


@pytest.mark.parametrize("seen", [True, False])
def test_a_degraded_photograph_counts_as_seen(seen: bool, data: Path, tmp_path: Path) -> None:
    pairs = chosen_pairs(ScoringRequest(data), 4)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    name = pairs[1].hr.name if seen else "other.png"
    write_image(pictures / name, np.random.default_rng(1).integers(0, 256, (160, 144, 3), np.uint8))
    item = built_on(tmp_path, pictures, "whole", "int8", Degradation(4))
    if seen:
        with pytest.raises(UsageError, match=f"was calibrated on {pairs[1].lr.name}"):
            require_held_out(item, pairs)
    else:
        require_held_out(item, pairs)


def test_a_build_without_a_table_has_nothing_to_hold_out(tmp_path, data) -> None:
    require_held_out(built_model(tmp_path, "int8"), chosen_pairs(ScoringRequest(data), 4))
