import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from calib.digest import sha256_bytes
from calib.errors import WeightsError
from deploy.cli import app
from deploy.network import known_models as models
from deploy.network.known_models import find_model
from deploy.network.weights import download
from deploy.network.weights.download import cached_file, download_official

CONTENT = bytes(range(256)) * 4000
ENTRY = replace(find_model("x4plus"), sha256=sha256_bytes(CONTENT))
PATH = "/v0.1.0/RealESRGAN_x4plus.pth"


class Releases(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, path = self.path.removeprefix("/").partition("/")
        self.server.requests.append(self.path)
        if f"/{path}" != PATH:
            self.send_error(404)
            return
        if kind == "nonsense":
            self.wfile.write(b"this is no HTTP at all\r\n\r\n")
            return
        self.send_response(200)
        if kind != "unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"cut": CONTENT[:500_000], "other": CONTENT[::-1]}.get(kind, CONTENT)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Releases)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(server):
    server.requests.clear()
    return f"http://127.0.0.1:{server.server_port}"


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["good", "unsized"])
def test_complete_file_is_kept_under_release_and_name(kind, url, tmp_path):
    seen = []
    path = download_official(
        ENTRY,
        releases_url=f"{url}/{kind}",
        folder=tmp_path,
        on_progress=lambda received, total: seen.append((received, total)),
    )
    assert path == tmp_path / "v0.1.0" / "RealESRGAN_x4plus.pth" == cached_file(ENTRY, tmp_path)
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == [path]
    assert seen[-1] == (len(CONTENT), None if kind == "unsized" else len(CONTENT))
    assert [received for received, _ in seen] == sorted({received for received, _ in seen})


def test_second_call_asks_no_server(url, server, tmp_path):
    first = download_official(ENTRY, releases_url=f"{url}/good", folder=tmp_path)
    second = download_official(ENTRY, releases_url=f"{url}/good", folder=tmp_path)
    assert first == second
    assert len(server.requests) == 1


def test_model_without_trusted_hash_takes_what_comes(url, tmp_path):
    entry = replace(ENTRY, sha256=None)
    path = download_official(entry, releases_url=f"{url}/other", folder=tmp_path)
    assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("other", f"is not the official file: found sha256 .*, expected {ENTRY.sha256}"),
        ("cut", f"the connection broke after 500000 of {len(CONTENT)} bytes"),
        ("missing/elsewhere", "the server answered 404"),
        ("nonsense", "the server's answer is broken"),
    ],
    ids=["wrong hash", "cut off", "404", "no HTTP"],
)
def test_failure_leaves_no_file(kind, message, url, tmp_path):
    with pytest.raises(WeightsError, match=message):
        download_official(ENTRY, releases_url=f"{url}/{kind}", folder=tmp_path)
    assert files_in(tmp_path) == []


def test_refused_connection_is_one_clear_line(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Releases) as closed:
        port = closed.server_port
    with pytest.raises(WeightsError, match=r"refused; download it by other means .*--weights"):
        download_official(ENTRY, releases_url=f"http://127.0.0.1:{port}", folder=tmp_path)
    assert files_in(tmp_path) == []


def test_other_schemes_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="expected an http or https address"):
        download_official(ENTRY, releases_url="file:///", folder=tmp_path)


def test_unwritable_cache_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"Not a directory|File exists"):
        download_official(ENTRY, releases_url="http://127.0.0.1:9", folder=tmp_path / "file")


def test_the_command_fetches_into_the_users_cache(url, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(models, "MODELS", (ENTRY,))
    arguments = ["models", "--download", "x4plus", "--releases", f"{url}/good"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    path = tmp_path / "v0.1.0" / "RealESRGAN_x4plus.pth"
    assert str(path) in result.stdout.replace("\n", "")
    assert path.read_bytes() == CONTENT


def test_the_command_says_in_one_line_why_it_failed(url, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    arguments = ["models", "--download", "x2plus", "--releases", f"{url}/good"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "the server answered 404" in result.stderr
    assert CliRunner().invoke(app, ["models", "--download", "x9"]).exit_code == 2


def test_a_mirror_without_a_model_to_fetch_is_refused(url):
    result = CliRunner().invoke(app, ["models", "--releases", f"{url}/good"])
    assert result.exit_code == 2
    assert "--releases without --download" in result.stderr
