import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import WeightsError
from deploy.ncnn.read import attach_weights, parse_param
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.known_models import MODELS
from deploy.network.weights.checkpoint import packaged_pair
from deploy.network.weights.ncnn_state_dict import state_dict

# 3 features and growth 1 give odd weight counts, so float16 weights need padding.
RRDB = RRDBNet(blocks=2, features=3, growth=1)
COMPACT = SRVGG(convs=1, features=3, scale=2)
NETWORKS = [pytest.param(RRDB, id="rrdbnet"), pytest.param(COMPACT, id="srvgg")]


def read(text: str, content: bytes):
    return state_dict(attach_weights(parse_param(text, "x.param"), content, "x.bin"), "x.param")


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "optimized"])
def test_written_pair_reads_back(architecture, half, plain, random_tensors, ncnn_pair):
    tensors = random_tensors(architecture)
    read_back = read(*ncnn_pair(architecture, tensors, half=half, plain=plain))
    assert read_back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        stored = tensor.astype(np.float16) if half and tensor.ndim == 4 else tensor
        assert read_back[name].dtype == np.float32
        np.testing.assert_array_equal(read_back[name], stored.astype(np.float32))


def test_float16_weights_are_padded_to_four_bytes(random_tensors, ncnn_pair):
    tensors = random_tensors(RRDB)
    text, content = ncnn_pair(RRDB, tensors)
    assert tensors["body.0.rdb1.conv1.weight"].size % 2 == 1
    assert len(content) % 4 == 0
    assert len(read(text, content)) == len(tensors)


@given(kept=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_bin_cut_anywhere_is_refused(kept, random_tensors, ncnn_pair):
    text, content = ncnn_pair(COMPACT, random_tensors(COMPACT))
    with pytest.raises(WeightsError, match=r"x\.bin ends too early: .* needs \d+ bytes at offset"):
        read(text, content[: int(kept * len(content))])


@pytest.mark.parametrize("extra", [1, 4, 1000])
def test_bytes_behind_the_last_weight_are_refused(extra, random_tensors, ncnn_pair):
    text, content = ncnn_pair(COMPACT, random_tensors(COMPACT))
    with pytest.raises(WeightsError, match=f"{extra} bytes are left behind the last weight"):
        read(text, content + bytes(extra))


def test_unknown_storage_form_is_refused(random_tensors, ncnn_pair):
    text, content = ncnn_pair(COMPACT, random_tensors(COMPACT))
    int8 = (0x000D4B38).to_bytes(4, "little")
    with pytest.raises(WeightsError, match="Convolution_1 stores its weights in form 0x000D4B38"):
        read(text, int8 + content[4:])


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        pytest.param(r"^7767517", "7767516", "first line '7767516', expected 7767517", id="magic"),
        pytest.param(r"\A.*\Z", "", "first line ''", id="empty"),
        pytest.param(r"\n\d+ \d+\n", "\n8\n", "layer and blob counts", id="header"),
        pytest.param(r"\n[^\n]+\n\Z", "\n", "but its header says", id="line lost"),
        pytest.param(r"Convolution_1 1 1", "Convolution_1 1 x", "cannot be read", id="count"),
        pytest.param(r"Convolution_1 1 1", "Convolution_1 1 9", "announces 1 . 9", id="blobs"),
        pytest.param(r"0=3 1=3", "0=3 1=three", "cannot be read", id="value"),
        pytest.param(r"0=3 1=3", "0=3 -23301=3,1,2", "announces 3 values, has 2", id="array"),
        pytest.param(r"6=81", "6=80", "80 weights do not make 3 3x3 kernels", id="weights"),
        pytest.param(r"0=3 1=3", "-23300=1,3 1=3", "is an array, not a number", id="kind"),
    ],
)
def test_malformed_param_is_refused(pattern, replacement, message, random_tensors, ncnn_pair):
    text, content = ncnn_pair(COMPACT, random_tensors(COMPACT))
    damaged, count = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert count == 1
    with pytest.raises(WeightsError, match=message):
        read(damaged, content)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        pytest.param(
            r"2,2\.000000e-01,1", "2,3.000000e-01,1", "expected 0.2 times it", id="residual scale"
        ),
        pytest.param(
            r"9=2 -23310=1,2\.0", "9=2 -23310=1,1.0", "one Convolution|no activation", id="slope"
        ),
        pytest.param(r"(Concat_\d+ 2 1) (\w+) (\w+)", r"\1 \3 \2", "the Concat of", id="order"),
        pytest.param(r"0=1 1=2\.0", "0=2 1=2.0", "nearest-neighbour Interp x2", id="bilinear"),
        pytest.param(r"4=1 5=1", "4=0 5=1", "padding 1", id="padding"),
        pytest.param(r"4=1 5=1", "3=2 4=1 5=1", "stride 1", id="stride"),
        pytest.param(r"4=1 5=1", "13=2 4=1 5=1", "stride 1", id="vertical stride"),
        pytest.param(r"Input Input_0", "Noop Input_0", "one Input layer", id="input"),
    ],
)
def test_another_graph_is_refused(pattern, replacement, message, random_tensors, ncnn_pair):
    text, content = ncnn_pair(RRDB, random_tensors(RRDB))
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    with pytest.raises(WeightsError, match=message):
        read(changed, content)


def test_layers_the_generator_does_not_have_are_named(random_tensors, ncnn_pair):
    text, content = ncnn_pair(COMPACT, random_tensors(COMPACT))
    layers, blobs = text.splitlines()[1].split()
    last_blob = text.split()[-2]
    longer = text.replace(f"\n{layers} {blobs}\n", f"\n{int(layers) + 1} {int(blobs) + 1}\n")
    longer += f"Interp shrink 1 1 {last_blob} end 0=3 1=0.5 2=0.5\n"
    with pytest.raises(WeightsError, match=r"every layer must belong .* found Interp shrink"):
        read(longer, content)


@pytest.mark.parametrize("entry", [m for m in MODELS if m.packaged_stem], ids=lambda m: m.name)
def test_packaged_pair_has_every_layer(entry):
    binary = packaged_pair(entry)
    tensors = read(binary.with_suffix(".param").read_text(), binary.read_bytes())
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    assert sum(1 for name in tensors if name.endswith(".bias")) == len(
        list(entry.architecture.convolutions())
    )


def test_packaged_network_with_a_resize_behind_it_is_refused():
    binary = packaged_pair(next(entry for entry in MODELS if entry.name == "animevideov3"))
    binary = binary.with_name("REALESRGAN_ANIMAVIDEOV3_UP2X.bin")
    with pytest.raises(WeightsError, match="found Interp"):
        read(binary.with_suffix(".param").read_text(), binary.read_bytes())
