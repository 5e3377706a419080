"""What several models drew of the same pictures, by file and picture."""

import numpy as np
import pytest
from numpy.typing import NDArray

from calib.colours import RGB
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


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_model_draws_every_picture_once(workers: int) -> None:
    runs: list[str] = []
    steps: list[int] = []

    def counted(name: str, factor: float):
        return lambda network_input: (runs.append(name), network_input * np.float32(factor))[1]

    runners = {"a": counted("a", 0.5), "b": counted("b", 0.25)}
    found = run_models(runners, PATCHES, workers=workers, advance=lambda: steps.append(1))
    assert sorted(runs) == ["a"] * 3 + ["b"] * 3
    assert len(steps) == 3
    assert found.images == tuple(patch.name for patch in PATCHES)
    for number, patch in enumerate(PATCHES):
        expected = to_input(patch.load(), RGB)
        np.testing.assert_array_equal(found.inputs[number], expected)
        np.testing.assert_array_equal(found.by_file["a"][number], expected * np.float32(0.5))
        np.testing.assert_array_equal(found.by_file["b"][number], expected * np.float32(0.25))


def test_an_output_is_found_by_file_and_picture() -> None:
    outputs = drawn()
    found = outputs.output("int8", PATCHES[1].name)
    assert found is not None
    np.testing.assert_array_equal(found, outputs.inputs[1] * np.float32(0.5))
    assert outputs.output("int8", "elsewhere") is None
    assert outputs.output("fp16", PATCHES[1].name) is None


def test_pairs_are_of_one_picture_each() -> None:
    pairs = drawn().first(2).pairs("float", "int8", "picture")
    assert [pair.name for pair in pairs] == [patch.name for patch in PATCHES[:2]]
    for pair in pairs:
        np.testing.assert_array_equal(pair.reference, pair.network_input)
        np.testing.assert_array_equal(pair.candidate, pair.reference * np.float32(0.5))
