"""Sharing out cores among inferences that run side by side."""

import pytest

from calib.runtime import shares


@pytest.mark.parametrize("jobs", [1, 2, 3, 100])
@pytest.mark.parametrize("cores", [1, 2, 6, 64])
def test_cores_are_shared_out(cores: int, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    workers, threads = shares(jobs, most=4)
    assert 1 <= workers <= min(jobs, 4)
    assert 1 <= workers * threads <= cores
