"""Write the folder for browsers: a page that enlarges a dropped picture with onnxruntime-web.

The page takes the network's size, and the margin of its tiles, from ``network.json``; the bundle's
ONNX files are what it runs. onnxruntime-web is no part of the bundle: the README says how to fetch
it, and the page loads it from the folder beside it alone.
"""

from deploy.handoff.vendor import MODELS, BundleContext, Vendor, copy_standalone
from deploy.runtime.tiling import Tiling

RUNTIME = "onnxruntime-web"
RUNTIME_VERSION = "1.30.0"
RUNTIME_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="

PAGE = ("index.html", "style.css", "enlarge.js", "worker.js", "tiles.js")
_SAID = {
    "ort": "quicker, very near to float",
    "qnn": "8 bits everywhere: the quickest, further from float",
}
"""What the page says of an int8 file."""

README = """\
# {{ model }} in browsers

All commands are run in this folder. Nothing is built: the page is plain HTML, CSS and JavaScript.

| file | what it is |
|---|---|
| `index.html`, `style.css` | the page: a picture that is dropped on it is enlarged {{ scale }} times |
| `enlarge.js`, `worker.js`, `tiles.js` | what it does: shows, runs the network, cuts and joins tiles |
| `network.json` | size and margin of its tiles, and the networks that it offers |
| `serve.py` | serves it to this machine, with the headers that let it use several threads |
| `golden_run.mjs` | runs the golden inputs in Node |

## Fetch the runtime

onnxruntime-web (MIT) is not in this bundle. npm fetches it, and nothing of it is run:

    npm view {{ runtime }}@{{ version }} dist.integrity
    npm pack --ignore-scripts {{ runtime }}@{{ version }}
    mkdir {{ runtime }}
    tar xzf {{ runtime }}-{{ version }}.tgz -C {{ runtime }} --strip-components=1

The first line prints the digest that npm holds the archive to; tried was
`{{ integrity }}`. Of its `dist/` the page loads
`ort.wasm.min.mjs`, `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`.

## Open the page

    python serve.py

prints an address of this machine to open; `index.html` does not work as a file, for browsers load no modules from
there. The picture stays in the browser: its security policy lets the page speak to its own server alone, from which
it gets the network.

It takes what the browser can read, turned upright, in 8 bits, its colours converted to sRGB. Gray stays gray; alpha
is enlarged apart. A picture larger than {{ tile.size }} is cut into tiles, with the margins of `esrdeploy upscale`.

On a server of your own, lay the folders `web` and `models` beside one another. Send
`Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`, or the page has one thread, and `text/javascript` for `.mjs`.

## Networks

| file | for |
|---|---|
{% for file in files %}
| `{{ file.path }}` | {{ file.name }}: {{ file.said }} |
{% endfor %}

## Run the golden inputs

    node golden_run.mjs {{ files[1].path }} returned
    node golden_run.mjs {{ files[0].path }} returned-fp32

runs the kernels that browsers run (WebAssembly; no WebGPU). Send back `returned/`.

## Checked

2026-11-27: onnxruntime-web {{ version }} in Chromium 150 and Node 20 on x86-64 Linux. Firefox and Safari: not tried.
"""


def _write(context: BundleContext) -> None:
    for name in (*PAGE, "golden_run.mjs"):
        copy_standalone(f"web/{name}", context.path(name))
    copy_standalone("web_serve.py", context.path("serve.py"))
    files = [
        _file(context, "float", context.float_path, "the network itself"),
        *(
            _file(context, f"int8 ({profile})", context.int8_path(profile), _SAID[profile])
            for profile in context.int8
        ),
    ]
    tiling = Tiling(*context.tile.size.sides, tile=context.tile.size)
    down, across = (
        dict(zip(("tile_px", "margin_px"), tiling.along(axis), strict=True)) for axis in (0, 1)
    )
    context.write_json(
        "network.json",
        {
            "model": context.model,
            "scale": context.scale,
            "channels": context.tile.channels,
            "down": down,
            "across": across,
            "files": files,
        },
    )
    readme = context.render(
        README,
        files=files,
        runtime=RUNTIME,
        version=RUNTIME_VERSION,
        integrity=RUNTIME_INTEGRITY,
    )
    context.write("README.md", readme)


def _file(context: BundleContext, name: str, path: str, said: str) -> dict[str, str | int]:
    size = (context.root / MODELS / path.rpartition("/")[2]).stat().st_size
    return {"name": name, "path": path, "said": said, "size_bytes": size}


VENDOR = Vendor(
    name="web",
    summary="browsers through onnxruntime-web: a page that enlarges a dropped picture",
    profiles=("ort", "qnn"),
    write=_write,
    aliases=("browser",),
    takes_batch=False,
)
