"""What several models drew of the same pictures, by file and picture."""

import numpy as np
from numpy.typing import NDArray

from calib.images import to_input
from calib.sample import sample_patches
from deploy.runtime.outputs import Outputs, run_models

PATCHES = sample_patches("verification", 3).patches


def same(network_input: NDArray[np.float32]) -> NDArray[np.float32]:
    return network_input


def darker(network_input: NDArray[np.float32]) -> NDArray[np.float32]:
    return network_input * np.float32(0.5)


def drawn() -> Outputs:
    return run_models({"float": same, "int8": darker}, PATCHES)


def test_every_model_draws_every_picture_once() -> None:
    runs: list[str] = []
    steps: list[int] = []

    def counted(name: str):
        return lambda network_input: (runs.append(name), network_input)[1]

    found = run_models(
        {"a": counted("a"), "b": counted("b")}, PATCHES, lambda: steps.append(len(runs))
    )
    assert runs == ["a", "b"] * 3
    assert steps == [2, 4, 6]
    assert found.images == tuple(patch.name for patch in PATCHES)
    for patch, network_input in zip(PATCHES, found.inputs, strict=True):
        np.testing.assert_array_equal(network_input, to_input(patch.load()))


def test_an_output_is_found_by_file_and_picture() -> None:
    outputs = drawn()
    found = outputs.output("int8", PATCHES[1].name)
    assert found is not None
    np.testing.assert_array_equal(found, outputs.inputs[1] * np.float32(0.5))
    assert outputs.output("int8", "elsewhere") is None
    assert outputs.output("fp16", PATCHES[1].name) is None


def test_pairs_are_of_one_picture_each() -> None:
    pairs = drawn().first(2).pairs("float", "int8")
    assert [pair.name for pair in pairs] == [patch.name for patch in PATCHES[:2]]
    for pair in pairs:
        np.testing.assert_array_equal(pair.reference, pair.network_input)
        np.testing.assert_array_equal(pair.candidate, pair.reference * np.float32(0.5))
