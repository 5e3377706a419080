"""Nothing in this folder runs a network: what lies has to be found out before."""

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail whoever runs a network, in whichever runtime."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was run")

    monkeypatch.setattr("calib.runtime.Session.run", refuse)
    monkeypatch.setattr("deploy.network.export.export_float", refuse)
