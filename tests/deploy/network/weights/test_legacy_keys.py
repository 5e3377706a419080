import pytest

from deploy.network.architecture import RRDBNet
from deploy.network.weights.identify import identify
from deploy.network.weights.legacy_keys import current_names

BLOCKS = 2
TRUNK_2019 = {
    f"body.{block}.rdb{dense}.conv{index}": f"RRDB_trunk.{block}.RDB{dense}.conv{index}"
    for block in range(BLOCKS)
    for dense in range(1, 4)
    for index in range(1, 6)
}
TRUNK_2018 = {
    name: old.replace("RRDB_trunk.", "model.1.sub.") + ".0" for name, old in TRUNK_2019.items()
}


def names_2019(upsamplings: int) -> dict[str, str]:
    return {
        **TRUNK_2019,
        "conv_body": "trunk_conv",
        **{f"conv_up{index}": f"upconv{index}" for index in range(1, upsamplings + 1)},
        "conv_hr": "HRconv",
    }


def names_2018(upsamplings: int) -> dict[str, str]:
    """Number the layers as ``nn.Sequential`` did: Upsample, Conv, LeakyReLU for each doubling."""
    behind = 2 + 3 * upsamplings
    return {
        "conv_first": "model.0",
        **TRUNK_2018,
        "conv_body": f"model.1.sub.{BLOCKS}",
        **{f"conv_up{index}": f"model.{3 * index}" for index in range(1, upsamplings + 1)},
        "conv_hr": f"model.{behind}",
        "conv_last": f"model.{behind + 2}",
    }


@pytest.mark.parametrize("upsamplings", range(4))
@pytest.mark.parametrize("names", [names_2018, names_2019], ids=["2018", "2019"])
def test_older_spellings_are_read_at_every_scale(names, upsamplings, random_tensors):
    architecture = RRDBNet(BLOCKS, features=4, growth=2, upsamplings=upsamplings)
    tensors = random_tensors(architecture)
    old = names(upsamplings)
    spelled = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        spelled[f"{old.get(layer, layer)}.{kind}"] = tensor
    assert spelled.keys() != tensors.keys()
    found = current_names(spelled)
    assert found == tensors
    assert identify(found) == architecture


def test_two_spellings_of_one_tensor_are_left_as_they_are():
    both = {"trunk_conv.bias": 1, "conv_body.bias": 2}
    assert current_names(both) == both
