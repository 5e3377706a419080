import json
from pathlib import Path

import numpy as np
import pytest

from calib.images import read_image
from deploy.handoff.bundle_manifest import read_contents

YAML_VALUES = {
    "fp16": {"name: small-fp16", "  dtype: fp32", "  type: tvm_vacc", "  dtype: fp16"},
    "int8": {
        "name: small-int8",
        "  dtype: int8",
        "    data_transport_mode: 1",
        "    calibrate_mode: percentile",
        "    quantize_per_channel: true",
        "  path: ../calibration/images/",
        "    suffix: png",
        "    get_data_num: 2",
        "    - type: DecodeImage",
        "      size: [128, 128]",
        "      norm_type: null",
        "    - type: ToTensor",
    },
}


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_a_build_file_has_the_vendors_keys(unpacked: Path, dtype: str) -> None:
    text = (unpacked / "vacc" / f"build-{dtype}.yaml").read_text()
    assert YAML_VALUES[dtype] <= set(text.splitlines())
    assert ("quantize" in text) == (dtype == "int8")
    yaml = pytest.importorskip("yaml")  # comes with some packages of the development extra
    parsed = yaml.safe_load(text)
    assert parsed["frontend"]["shape"]["input"] == [1, 3, 128, 128]
    assert parsed["backend"]["dtype"] == dtype
    checkpoint = unpacked / "vacc" / parsed["frontend"]["checkpoint"]
    name = "small-fp32" if dtype == "fp16" else "small-fp32-qnn-grid"
    assert checkpoint.resolve() == (unpacked / "models" / f"{name}.onnx").resolve()
    if dtype == "int8":
        assert parsed["dataset"]["process_ops"][2] == {"type": "Normalize", "norm_type": None}
        pictures = list((unpacked / "vacc" / parsed["dataset"]["path"]).glob("*.png"))
        assert len(pictures) == parsed["dataset"]["sampler"]["get_data_num"] == 2


def test_the_device_divides_by_255_and_nothing_else(unpacked: Path) -> None:
    config = json.loads((unpacked / "vacc" / "vdsp_params.json").read_text())["OpConfig"]
    assert config["Mean"] == [0, 0, 0]
    assert config["Std"] == [1, 1, 1]
    assert config["NormaType"] == "DIV255"


def test_inputs_are_listed_in_the_order_of_the_golden_vectors(unpacked: Path) -> None:
    listed = (unpacked / "vacc" / "npz_datalist.txt").read_text().splitlines()
    names = [vector.name for vector in read_contents(unpacked).golden]
    assert [Path(line).stem for line in listed] == names
    for line, name in zip(listed, names, strict=True):
        with np.load(unpacked / "vacc" / line) as archive:
            planes = archive["input_0"]
        assert planes.dtype == np.uint8
        picture = read_image(unpacked / "golden" / "picture" / f"{name}.png")
        np.testing.assert_array_equal(planes, picture.transpose(2, 0, 1))
