"""A name that no file can begin with is refused with what is wrong with it."""

import pytest

from calib.errors import UsageError
from deploy.network.network import require_plain


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a/b", "it has '/'"),
        ("a b\n", "it has '\\n', ' '"),
        ("\u00e9", "it has '\u00e9'"),
        ("-x", "it begins with '-'"),
        (".x", "it begins with '.'"),
        ("x" * 101, "it has 101 letters"),
        ("", "it is empty"),
    ],
)
def test_the_fault_is_named(name: str, fault: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_plain(name, "--name")
    assert f"cannot begin a file name: {fault}; use letters" in str(refused.value)


@pytest.mark.parametrize("name", ["x", "4x-anime_v3.1", "x" * 100])
def test_plain_names_pass(name: str) -> None:
    require_plain(name, "--name")
