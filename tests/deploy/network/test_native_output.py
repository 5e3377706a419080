"""What native code prints is dropped, whatever happens meanwhile; what comes later is not."""

import os

import pytest

from deploy.network.native_output import native_output_dropped


def print_and_fail() -> None:
    with native_output_dropped():
        for stream in (1, 2):
            os.write(stream, b"within\n")
        raise ValueError("refused")


def test_only_what_is_written_within_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before\n")
    with pytest.raises(ValueError, match="refused"):
        print_and_fail()
    for stream in (1, 2):
        os.write(stream, b"after\n")
    assert capfd.readouterr() == ("before\nafter\n", "after\n")
