"""The folder for browsers: its numbers are the project's, its server gives out nothing else."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from calib.tile import Size
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.standalone import web_serve
from deploy.handoff.vendors import web
from deploy.runtime.tiling import MARGIN_PX, Tiling, _fades, tiled_runner
from deploy.simulate.toolchains import find_toolchain

SCALE = 2
LENGTHS = [*range(1, 40), 127, 128, 129, 131, 200, 300, 333, 510, 1020]
SIDES = [(128, 24), (128, 32), (32, 8), (24, 6), (40, 10)]
RNG = np.random.default_rng(7)


@pytest.fixture
def in_node(tmp_path: Path) -> Callable[[str], object]:
    """A function that runs JavaScript behind an import of tiles.js and returns its JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH to run the page's arithmetic with")

    def run(script: str) -> object:
        shutil.copy(Path(web_serve.__file__).parent / "web/tiles.js", tmp_path / "tiles.mjs")
        (tmp_path / "run.mjs").write_text(f'import * as tiles from "./tiles.mjs";\n{script}')
        done = subprocess.run(
            [node, "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_the_page_has_the_numbers_of_the_project(unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    said = json.loads((unpacked / "web/network.json").read_text())
    network, tile = manifest.network, manifest.network.tile
    assert (said["scale"], said["channels"]) == (network.scale, tile.channels)
    assert said["down"] == {"tile_px": tile.height_px, "margin_px": MARGIN_PX}
    assert said["across"] == {"tile_px": tile.width_px, "margin_px": MARGIN_PX}
    paths = [(unpacked / "web" / file["path"]).resolve() for file in said["files"]]
    expected = [manifest.float_model, *(manifest.int8_models[name] for name in ("ort", "qnn"))]
    assert paths == [(unpacked / path).resolve() for path in expected]
    assert [file["size_bytes"] for file in said["files"]] == [p.stat().st_size for p in paths]
    for script in ("enlarge.js", "worker.js", "tiles.js"):
        assert not re.search(r"\b(24|32|128)\b", (unpacked / "web" / script).read_text()), script


def test_small_tiles_have_a_quarter_of_their_side_as_margin() -> None:
    assert [Tiling(32, 40, Size(32, 40)).along(axis) for axis in (0, 1)] == [(32, 8), (40, 10)]


def test_every_file_of_the_page_is_there_and_is_loaded(unpacked: Path) -> None:
    folder = unpacked / "web"
    source = "".join((folder / name).read_text() for name in web.PAGE)
    for name in web.PAGE[1:]:
        assert f'"{name}"' in source or f'"./{name}"' in source, name
    assert {path.name for path in folder.iterdir()} == {
        *web.PAGE, "network.json", "README.md", "serve.py", "golden_run.mjs"
    }  # fmt: skip


def test_the_page_fetches_and_runs_nothing_of_others(unpacked: Path) -> None:
    folder = unpacked / "web"
    page = (folder / "index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
    assert re.findall(r"<script([^>]*)>(.*?)</script>", page) == [
        (' type="module" src="enlarge.js"', "")
    ]
    for name in web.PAGE:
        assert "//" not in re.sub(r"(^|\s)//\s|/\*\*?", "", (folder / name).read_text()), name
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    served = web_serve.HEADERS["Content-Security-Policy"]
    assert served == f"{policy}; frame-ancestors 'none'"
    allowed = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}
    assert allowed.pop("default-src") == ["'none'"]
    assert {source for sources in allowed.values() for source in sources} == {
        "'self'", "'none'", "'wasm-unsafe-eval'", "data:"
    }  # fmt: skip


def test_the_runtime_of_the_page_is_that_which_is_simulated(unpacked: Path) -> None:
    (package,) = find_toolchain("web").environments[0].npm
    readme = (unpacked / "web/README.md").read_text()
    assert f"npm pack --ignore-scripts {package.pin}" in readme
    assert package.integrity in readme
    for script in ("worker.js", "golden_run.mjs"):
        assert (
            f'"./{package.name}/dist/ort.wasm.min.mjs"' in (unpacked / "web" / script).read_text()
        )


def test_tiles_lie_and_count_where_the_project_says(in_node: Callable[[str], object]) -> None:
    cases = [
        (length, tile, margin, scale)
        for length in LENGTHS
        for tile, margin in SIDES
        for scale in (2, 4)
    ]
    found = in_node(
        f"const cases = {json.dumps(cases)};\n"
        "console.log(JSON.stringify(cases.map(([length, tile, margin, scale]) => {\n"
        "const side = new tiles.Side(length, tile, margin);\n"
        "return [side.starts, side.shares(scale).map((share) => [...share])]; })))"
    )
    assert isinstance(found, list)
    for (length, side_px, margin, scale), (starts, shares) in zip(cases, found, strict=True):
        longer = max(length, side_px)
        tiling = Tiling(longer, longer, Size(side_px, side_px), margin)
        assert tuple(starts) == tiling.rows
        expected = _fades(tiling.rows, side_px, margin, scale)
        for one, other in zip(shares, expected, strict=True):
            np.testing.assert_array_equal(np.array(one, np.float32), other)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (20, 12), (32, 40), (33, 41), (75, 130)])
def test_a_picture_is_cut_and_joined_as_the_project_does(
    in_node: Callable[[str], object], size: tuple[int, int]
) -> None:
    picture = RNG.integers(0, 256, (*size, 3), np.uint8)
    rgba = np.dstack([picture, np.full(size, 255, np.uint8)])
    found = in_node(f"""
const [height, width, scale, channels] = [{size[0]}, {size[1]}, {SCALE}, 3];
const rgba = Uint8ClampedArray.from({rgba.ravel().tolist()});
const down = new tiles.Side(height, 32, 8), across = new tiles.Side(width, 40, 10);
const [colour] = tiles.layersOf(rgba, channels);
const joiner = new tiles.Joiner(down, across, scale, channels);
const bands = [];
for (const row of down.starts) {{
  joiner.begin();
  across.starts.forEach((column, number) => {{
    const input = tiles.networkInput(colour, down, across, row, column, channels);
    const drawn = new Float32Array(channels * 64 * 80);
    drawn.forEach((_, at) => {{
      const [x, y, c] = [at % 80, Math.floor(at / 80) % 64, Math.floor(at / 5120)];
      drawn[at] = input[c * 32 * 40 + (y >> 1) * 40 + (x >> 1)] + x / 1024 - y / 512;
    }});
    joiner.add(number, drawn);
  }});
  const ended = joiner.end();
  const band = new Uint8ClampedArray(4 * ended.rows * width * scale);
  tiles.writeLayer(colour, ended, band, width * scale);
  bands.push(...band);
}}
console.log(JSON.stringify(bands));
""")
    rows, columns = np.arange(64, dtype=np.float32) / 512, np.arange(80, dtype=np.float32) / 1024

    def drawn(given: np.ndarray) -> np.ndarray:
        return given.repeat(2, axis=2).repeat(2, axis=3) + columns - rows[:, np.newaxis]

    planes = picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / np.float32(255)
    whole = tiled_runner(drawn, SCALE, Size(32, 40))(planes)[0]
    expected = np.rint(np.clip(whole, 0, 1) * np.float32(255)).astype(np.uint8)
    if len(np.unique(picture[0, 0])) > 1 or picture.size > 3:
        made = np.array(found, np.uint8).reshape(-1, size[1] * SCALE, 4)[: size[0] * SCALE, :, :3]
        off = np.abs(made.astype(int) - expected.transpose(1, 2, 0))
        assert off.max() <= 1
        assert (off > 0).mean() < 0.001


def test_what_is_transparent_takes_the_nearest_colour_of_its_row(
    in_node: Callable[[str], object],
) -> None:
    red, blue, clear = [200, 0, 0, 255], [0, 0, 200, 9], [0, 0, 0, 0]
    picture = [clear, red, clear, clear, clear, blue, *[clear] * 6]
    found = in_node(
        f"const rgba = Uint8ClampedArray.from({picture}.flat()); "
        "tiles.fillTransparent(rgba, 6); console.log(JSON.stringify([...rgba]));"
    )
    pixels = np.array(found).reshape(2, 6, 4)
    assert pixels[0, :, 0].tolist() == [200, 200, 200, 0, 0, 0]
    assert pixels[0, :, 2].tolist() == [0, 0, 0, 200, 200, 200]
    assert pixels[0, :, 3].tolist() == [0, 255, 0, 0, 0, 9]
    assert not pixels[1].any()


@pytest.fixture
def served(unpacked: Path) -> Iterator[int]:
    """The port of a bundle's own server."""
    command = [sys.executable, str(unpacked / "web/serve.py"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield int(re.findall(r":(\d+)/", server.stdout.readline())[0])
        server.kill()


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", None, 302),
        ("/web/index.html", None, 200),
        ("/web/worker.js", None, 200),
        ("/models/small-fp32.onnx", None, 200),
        ("/manifest.json", None, 404),
        ("/golden/", None, 404),
        ("/web/", None, 404),
        ("/web/../manifest.json", None, 404),
        ("/web/%2e%2e/manifest.json", None, 404),
        ("/web/..%2fmanifest.json", None, 404),
        ("/web/index.html", "elsewhere.example", 403),
    ],
)
def test_the_server_gives_out_the_page_and_the_models_alone(
    served: int, path: str, host: str | None, status: int
) -> None:
    asking = HTTPConnection("127.0.0.1", served)
    asking.request("GET", path, headers={} if host is None else {"Host": host})
    answer = asking.getresponse()
    answer.read()
    assert answer.status == status
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    if path.endswith(".js"):
        assert answer.headers["Content-Type"] == "text/javascript"


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_had_is_one_line(served: int, unpacked: Path, port: str) -> None:
    asked = str(served) if port == "taken" else port
    done = subprocess.run(
        [sys.executable, unpacked / "web/serve.py", "--port", asked],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"serve.py: cannot listen on port {asked}: ")
    assert done.stderr.count("\n") == 1
