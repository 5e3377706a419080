import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import WeightsError
from deploy.ncnn.read import attach_weights, parse_param
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.known_models import MODELS
from deploy.network.weights.checkpoint import load_checkpoint, packaged_pair
from deploy.network.weights.identify import identify
from deploy.network.weights.ncnn_state_dict import ncnn_network

# 3 features and growth 1 give odd weight counts, so float16 weights need padding.
RRDB = RRDBNet(blocks=2, features=3, growth=1)
COMPACT = SRVGG(convs=1, features=3, scale=2)
NETWORKS = [
    *(RRDBNet(1, 3, 1, upsamplings=count) for count in range(4)),
    *(RRDBNet(1, 3, 1, unshuffle=factor) for factor in (2, 4)),
    RRDB,
    *(SRVGG(1, 3, 2, activation) for activation in ("prelu", "relu", "leaky_relu")),
    SRVGG(2, 3, 1),
]


def read(text: str, content: bytes):
    return network(text, content).tensors


def network(text: str, content: bytes):
    return ncnn_network(attach_weights(parse_param(text, "x.param"), content, "x.bin"), "x.param")


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
@pytest.mark.parametrize("clip", [True, False], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "optimized"])
def test_written_pair_reads_back(architecture, half, plain, clip, random_tensors, ncnn_pair):  # noqa: PLR0917  # two fixtures, four ways to write
    tensors = random_tensors(architecture)
    found = network(*ncnn_pair(architecture, tensors, half=half, plain=plain, clip=clip))
    assert identify(found.tensors, found.activation) == architecture
    read_back = found.tensors
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
        pytest.param(r"9=2 -23310=1,2\.0", "9=2 -23310=1,1.0", "LeakyReLU of slope", id="slope"),
        pytest.param(r"6=81\n\Z", "6=81 9=3 -23310=2,0,2\n", "clip to .0, 1.", id="clip to 2"),
        pytest.param(r"6=81\n\Z", "6=81 9=1\n", "clip to .0, 1.", id="picture through ReLU"),
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
    longer += f"Convolution more 1 1 {last_blob} end 0=3 1=3 4=1 6=81\n"
    content += bytes(4 + 4 * 81)
    with pytest.raises(WeightsError, match=r"every layer must belong .* found Convolution more"):
        read(longer, content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"9=1": "9=5"}, "body.0 must have PReLU, ReLU or a LeakyReLU", id="other"),
        pytest.param({"9=1": "9=2 -23310=1,0.3"}, "LeakyReLU of slope 0.1", id="slope"),
        pytest.param(
            {"9=1": "9=2 -23310=1,0.1"}, "body.2 must have leaky_relu, as the first", id="mixed"
        ),
    ],
)
def test_an_activation_that_no_state_dict_can_say_is_refused(
    changes, message, random_tensors, ncnn_pair
):
    compact = SRVGG(2, 3, 2, "relu")
    text, content = ncnn_pair(compact, random_tensors(compact))
    for found, other in changes.items():
        text = text.replace(found, other, 1)
    with pytest.raises(WeightsError, match=message):
        read(text, content)


def test_another_network_is_named_by_its_layers_without_its_weights(tmp_path):
    lines = ["Input in 0 1 a", "Convolution c 1 1 a b 0=64 1=7 6=9408", "Pooling p 1 1 b d"]
    path = tmp_path / "realesrgan-plus-x2.param"
    path.write_text("\n".join(["7767517", "3 3", *lines]) + "\n")
    with pytest.raises(WeightsError, match=r"is another network.*\(1 Pooling\)"):
        load_checkpoint(path)


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
    message = r"resizing of its picture by 0\.5 .* take the pair .*realesr-animevideov3-x4"
    with pytest.raises(WeightsError, match=message):
        read(binary.with_suffix(".param").read_text(), binary.read_bytes())
