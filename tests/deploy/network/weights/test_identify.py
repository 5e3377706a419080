import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import WeightsError
from deploy.network.architecture import SRVGG, RRDBNet, tensor_shapes
from deploy.network.known_models import MODELS, find_model
from deploy.network.weights.identify import identify, require_model

sizes = st.integers(min_value=1, max_value=9)
architectures = st.one_of(
    st.builds(
        RRDBNet,
        blocks=st.integers(1, 30),
        features=sizes,
        growth=sizes,
        unshuffle=st.sampled_from([1, 2, 4]),
        channels=st.sampled_from([1, 3]),
    ),
    st.builds(
        RRDBNet, blocks=st.just(1), features=sizes, growth=sizes, upsamplings=st.integers(0, 3)
    ),
    # With one PReLU alone, a network that lost it is one with ReLU.
    st.builds(
        SRVGG,
        convs=st.integers(1, 40),
        features=sizes,
        scale=st.integers(1, 8),
        activation=st.sampled_from(["prelu", "relu", "leaky_relu"]),
        channels=st.sampled_from([1, 3]),
    ),
)
SMALL = RRDBNet(blocks=1, features=4, growth=2)


def empty_tensors(architecture):
    shapes = tensor_shapes(architecture).items()
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes}


@given(architecture=architectures)
def test_sizes_are_read_back_from_tensors(architecture):
    told = getattr(architecture, "activation", None)
    assert identify(empty_tensors(architecture), told) == architecture


@given(architecture=architectures, choice=st.integers(min_value=0))
def test_any_lost_tensor_is_noticed(architecture, choice):
    tensors = empty_tensors(architecture)
    lost = list(tensors)[choice % len(tensors)]
    del tensors[lost]
    with pytest.raises(WeightsError, match=re.escape(lost.split(".")[0])):
        identify(tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"conv_hr.bias": None}, r"missing keys 'conv_hr\.bias'", id="missing"),
        pytest.param({"conv_hr.scale": (4,)}, r"not expected 'conv_hr\.scale'", id="extra"),
        pytest.param(
            {"conv_hr.weight": (4, 4, 1, 1)},
            r"conv_hr\.weight has shape \[4, 4, 1, 1\], expected \[4, 4, 3, 3\]",
            id="kernel",
        ),
        pytest.param(
            {"body.0.rdb2.conv3.weight": (8, 2, 3, 3)},
            r"shape \[8, 2, 3, 3\], expected \[2, 8, 3, 3\]",
            id="transposed",
        ),
        pytest.param(
            {"conv_first.weight": (4, 1, 3, 3)}, "takes 1 channels .*expected 3", id="1 to 3"
        ),
        pytest.param(
            {"conv_last.weight": (1, 4, 3, 3)},
            "takes 3 channels .* of a network for gray",
            id="3 to 1",
        ),
        pytest.param(
            {"conv_first.weight": (4, 4, 3, 3), "conv_last.weight": (4, 4, 3, 3)},
            "pictures with alpha: .*only networks for RGB",
            id="RGBA",
        ),
        pytest.param({"conv_up4.weight": (4, 4, 3, 3)}, "4 doublings .*expected 0 to 3", id="x16"),
        pytest.param(
            {
                "conv_first.weight": (4, 48, 3, 3),
                **{f"conv_up2.{part}": None for part in ("weight", "bias")},
            },
            "1 doublings .* pixel-unshuffle by 4",
            id="x1/2",
        ),
        pytest.param(
            {"conv_first.weight": (0, 3, 3, 3)}, r"found shape \[0, 3, 3, 3\]", id="empty"
        ),
        pytest.param({"conv_first.weight": (4, 3)}, r"shape \[4, 3\], expected \[out", id="rank"),
        pytest.param(
            {"body.0.rdb1.conv1.weight": None}, "conv1.weight: found no such tensor", id="growth"
        ),
        pytest.param(
            {"body.7.rdb1.conv1.weight": (2, 4, 3, 3)}, "missing keys 'body.1.rdb1", id="gap"
        ),
        pytest.param(
            {"body.999999999.rdb1.conv1.weight": (2, 4, 3, 3)}, "cannot be numbered", id="huge"
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    tensors = empty_tensors(SMALL)
    for name, shape in change.items():
        if shape is None:
            del tensors[name]
        else:
            tensors[name] = np.zeros(shape, np.float32)
    with pytest.raises(WeightsError, match=message):
        identify(tensors)


def test_srvgg_of_pictures_with_alpha_is_refused_as_that():
    tensors = empty_tensors(SRVGG(convs=1, features=4, scale=2))
    tensors["body.0.weight"] = np.zeros((4, 4, 3, 3), np.float32)
    tensors["body.4.weight"] = np.zeros((16, 4, 3, 3), np.float32)
    with pytest.raises(WeightsError, match="for pictures with alpha"):
        identify(tensors)


def test_another_trunk_is_told_by_its_keys():
    tensors = empty_tensors(SMALL)
    changed = {name.replace("rdb", "srdb"): tensor for name, tensor in tensors.items()}
    with pytest.raises(WeightsError, match=r"another architecture.*found 'body\.0\.srdb1\.conv1"):
        identify(changed)


@pytest.mark.parametrize("outputs", [1, 5, 24])
def test_srvgg_whose_last_convolution_makes_no_picture_is_refused(outputs):
    tensors = empty_tensors(SRVGG(convs=1, features=4, scale=2))
    tensors["body.4.weight"] = np.zeros((outputs, 4, 3, 3), np.float32)
    with pytest.raises(WeightsError, match=f"gives {outputs} channels"):
        identify(tensors)


def test_unknown_architecture_shows_the_keys_found():
    tensors = {f"layers.{index}.weight": np.zeros(1) for index in range(7)}
    with pytest.raises(WeightsError, match=r"'layers\.0\.weight', .* and 3 more; expected 'conv_f"):
        identify(tensors)
    with pytest.raises(WeightsError, match="found keys none"):
        identify({})


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_model_takes_its_own_architecture_only(entry):
    require_model(entry.architecture, entry)
    for other in {model.architecture for model in MODELS} - {entry.architecture}:
        with pytest.raises(WeightsError, match=f"than {entry.name!r}: found .*, expected"):
            require_model(other, entry)


def test_the_difference_is_told_in_words():
    found = find_model("x4plus-anime-6b").architecture
    message = "found RRDBNet, 6 blocks, .*, expected RRDBNet, 23 blocks"
    with pytest.raises(WeightsError, match=message):
        require_model(found, find_model("x4plus"))
