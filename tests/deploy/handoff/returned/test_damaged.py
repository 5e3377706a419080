"""What came back cut short, damaged or pickled is read or refused in a line, never a traceback."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calib.errors import VerificationError
from deploy.handoff.returned.files import OutputFormat, read_output


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".raw"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_short_or_damaged_anywhere_is_read_or_refused_in_a_line(
    suffix: str, data: st.DataObject, tmp_path: Path
) -> None:
    path, array = tmp_path / f"x{suffix}", np.linspace(0, 1, 12, dtype=np.float32)
    array = array.reshape(1, 3, 2, 2)
    match suffix:
        case ".npy":
            np.save(path, array)
        case ".npz":
            np.savez_compressed(path, output_0=array, scale=np.float32(1), zero_point=np.int32(0))
        case _:
            path.write_bytes(array.tobytes())
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        output = read_output(path, (1, 3, 2, 2), OutputFormat())
    except VerificationError as error:
        said = str(error)
    else:
        said = str(list(output.array.shape))
    assert said
    assert "\n" not in said


@pytest.mark.parametrize(
    "arrays",
    [
        {"output_0": np.zeros((1, 3, 2, 2), np.int8), "scale": np.zeros(0)},
        {"output_0": np.zeros((1, 3, 2, 2), np.int64), "scale": np.float32(1)},
        {"output_0": np.zeros((1, 3, 2, 2), np.int8), "scale": np.float32(np.nan)},
    ],
    ids=["no scale in it", "int64", "NaN"],
)
def test_a_quantization_that_is_none_is_that_files_fault(tmp_path: Path, arrays) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(VerificationError):
        read_output(tmp_path / "x.npz", (1, 3, 2, 2), OutputFormat())


def test_pickles_are_refused(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(VerificationError, match="cannot be read"):
        read_output(folder / "x.npy", (1, 3, 2, 2), OutputFormat())
