"""ncnn's own engine and our float ONNX, made from the same pair of files, draw the same picture.

The two share nothing but the ``.param`` and ``.bin``: ncnn reads them with its own parser and
computes with its own kernels.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.runtime import Session
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.export import export_float
from deploy.network.known_models import find_model
from deploy.network.weights.checkpoint import load_checkpoint, packaged_pair
from deploy.network.weights.identify import identify

ncnn = pytest.importorskip("ncnn", reason="needs the ncnn engine: install the extra dev")

MIN_PARITY_DB = 110.0


def run_ncnn(binary: Path, network_input: np.ndarray) -> np.ndarray:
    with ncnn.Net() as net:
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = False
        net.opt.use_fp16_storage = False
        net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        net.opt.num_threads = 2
        assert net.load_param(str(binary.with_suffix(".param"))) == 0
        assert net.load_model(str(binary)) == 0
        with net.create_extractor() as extractor:
            extractor.input(net.input_names()[0], ncnn.Mat(network_input[0]).clone())
            status, output = extractor.extract(net.output_names()[0])
            assert status == 0
            return np.array(output)[np.newaxis]


def exported(binary: Path, photo: np.ndarray) -> onnx.ModelProto:
    checkpoint = load_checkpoint(binary)
    architecture = identify(checkpoint.tensors, checkpoint.activation)
    return export_float(architecture, checkpoint.tensors, [photo]).model


def assert_same_picture(binary: Path, model: onnx.ModelProto | Path, photo: np.ndarray) -> None:
    session = Session(model, optimized=True, threads=2)
    noise = np.random.default_rng(7).random(photo.shape, dtype=np.float32)
    for network_input in (photo, noise):
        (expected,) = session.run({"input": network_input}).values()
        found = run_ncnn(binary, network_input)
        assert found.shape == expected.shape
        error = np.mean(np.square(found - expected, dtype=np.float64))
        parity_db = -10 * math.log10(error)
        print(f"{binary.stem}: {parity_db:.1f} dB, largest {np.abs(found - expected).max():.2g}")
        assert MIN_PARITY_DB <= parity_db < math.inf


SMALL = [
    RRDBNet(2, 16, 8),
    RRDBNet(1, 8, 4, unshuffle=2),
    RRDBNet(1, 8, 4, upsamplings=0),
    RRDBNet(1, 8, 4, upsamplings=3),
    SRVGG(3, 16, 4),
    SRVGG(2, 8, 2, "relu"),
    SRVGG(2, 8, 3, "leaky_relu"),
]


@pytest.mark.parametrize("architecture", SMALL, ids=str)
def test_small_random_network(architecture, random_tensors, ncnn_pair, photo, tmp_path):
    # Halved, so that outputs stay near [0, 1] and the decibels mean what they do for pictures.
    tensors = {name: tensor / 2 for name, tensor in random_tensors(architecture).items()}
    text, content = ncnn_pair(architecture, tensors)
    (tmp_path / "x.param").write_text(text)
    (tmp_path / "x.bin").write_bytes(content)
    patch = np.ascontiguousarray(photo[:, :, :48, :64])
    assert_same_picture(tmp_path / "x.bin", exported(tmp_path / "x.bin", patch), patch)


def test_packaged_animevideov3(photo):
    binary = packaged_pair(find_model("animevideov3"))
    assert_same_picture(binary, exported(binary, photo), photo)


@pytest.mark.slow
def test_packaged_anime_6b(anime_float_path, photo):
    patch = np.ascontiguousarray(photo[:, :, :64, :64])
    assert_same_picture(packaged_pair(find_model("x4plus-anime-6b")), anime_float_path, patch)


@pytest.mark.slow
def test_packaged_x4plus(photo):
    # A sixteenth of the usual area: every layer runs, in a sixteenth of the time.
    patch = np.ascontiguousarray(photo[:, :, :32, :32])
    binary = packaged_pair(find_model("x4plus"))
    assert_same_picture(binary, exported(binary, patch), patch)
