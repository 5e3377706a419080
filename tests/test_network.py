"""No command asks for another machine but ``models --download``, which says so.

tests/conftest.py refuses the network to every test; here is that it does, and who could ask.
"""

import socket
from pathlib import Path

import grimp
import pytest

from deploy.cli import app
from tests.deploy.builds import run

DOORS = {"deploy.network.weights.download"}
NETWORK = {"aiohttp", "ftplib", "http", "httpx", "requests", "smtplib", "socket", "ssl", "urllib"}
# On 127.0.0.1, to the browser that it starts or that opens its page.
LISTENING = {"deploy.handoff.standalone.web_serve", "deploy.simulate.drivers.web_driver"}
ONLY_AN_ERROR = {"deploy.evaluate.fid.inception_torch"}  # of torch-fidelity, which downloads


def test_one_module_opens_the_door() -> None:
    graph = grimp.build_graph("deploy", "quant", "calib", include_external_packages=True)
    opening = {
        module
        for name in NETWORK & graph.modules
        for module in graph.find_modules_that_directly_import(name)
    }
    assert opening == DOORS | LISTENING | ONLY_AN_ERROR


def test_the_command_that_says_so_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.network.weights.download.cache_folder", lambda: tmp_path)
    asked = run("models", "--download", "general-x4v3")
    assert isinstance(asked.exception, AssertionError)
    assert "asks for the network: github.com" in str(asked.exception)
    assert app.info.name == "esrdeploy"


@pytest.mark.parametrize("host", ["github.com", "192.0.2.1"])
def test_the_network_is_refused(host: str) -> None:
    with pytest.raises(AssertionError, match=host):
        socket.create_connection((host, 80), timeout=1)
