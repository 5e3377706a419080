"""Run the golden inputs with onnxruntime-web in a headless Chromium.

A page on 127.0.0.1 asks for one input after the other and sends back what the network makes of it.
Its headers isolate it, which is what browsers want before a page may use threads.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from golden_job import GoldenJob

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
RUNTIME = Path(sys.prefix) / "npm" / "onnxruntime-web" / "dist"
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html"}
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
POLL_S = 0.5
PAGE = """\
<!doctype html>
<script type="module">
import * as ort from "/ort.wasm.min.mjs";

const send = (path, body, shape = []) =>
  fetch(path, {method: "POST", body, headers: {"X-Shape": JSON.stringify(shape)}});
try {
  ort.env.wasm.wasmPaths = "/";
  const session = await ort.InferenceSession.create("/model.onnx", {executionProviders: ["wasm"]});
  await send("/ready", "");
  for (;;) {
    const answer = await fetch("/input");
    const shape = JSON.parse(answer.headers.get("X-Shape"));
    const planes = new Float32Array(await answer.arrayBuffer());
    const {output} = await session.run({input: new ort.Tensor("float32", planes, shape)});
    await send("/output", output.data.slice(), output.dims);
  }
} catch (error) {
  await send("/failed", String(error));
}
</script>
"""


class Exchange(ThreadingHTTPServer):
    """Serve the page, the runtime and the model, and pass inputs and outputs on.

    Attributes:
        inputs: float32 arrays that the page is given.
        outputs: what it sent back: nothing once it is ready, then arrays, or the error that it met.
    """

    daemon_threads = True

    def __init__(self, model: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.inputs: queue.Queue[Any] = queue.Queue()
        self.outputs: queue.Queue[Any] = queue.Queue()
        self.files = {path.name: path for path in RUNTIME.iterdir()} | {"model.onnx": model}


class Answer(BaseHTTPRequestHandler):
    """Answer one request of the page."""

    server: Exchange
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Give the page, a file, or the next input as soon as there is one."""
        name = self.path.removeprefix("/")
        if name == "input":
            planes = self.server.inputs.get()
            self._give(planes.tobytes(), "application/octet-stream", planes.shape)
        elif not name:
            self._give(PAGE.encode(), TYPES[".html"])
        elif name in self.server.files:
            path = self.server.files[name]
            self._give(path.read_bytes(), TYPES.get(path.suffix, "application/octet-stream"))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Take an output, or the page's last words."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/output":
            shape = json.loads(self.headers["X-Shape"])
            self.server.outputs.put(np.frombuffer(content, np.float32).reshape(shape))
        else:
            self.server.outputs.put(content.decode() if self.path == "/failed" else None)
        self._give(b"", "text/plain")

    def _give(self, content: bytes, kind: str, shape: tuple[int, ...] = ()) -> None:
        self.send_response(200)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **ISOLATED}
        for name, value in {**headers, "X-Shape": json.dumps(shape)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's word
        """Say nothing: a log of requests would bury what matters."""


def main() -> None:
    """Serve one model to a browser and run it there."""
    job = GoldenJob.read()
    chromium = job.programs["Chromium"]
    exchange = Exchange(job.model)
    threading.Thread(target=exchange.serve_forever, daemon=True).start()
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # root has none in Chromium
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = f"http://127.0.0.1:{exchange.server_port}/"
        command = [chromium, *FLAGS, *sandbox, f"--user-data-dir={profile}", address]
        browser = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  # found above

        def answer() -> Any:
            while True:
                try:
                    output = exchange.outputs.get(timeout=POLL_S)
                except queue.Empty:
                    if browser.poll() is not None:
                        raise SystemExit(f"{chromium} ended: status {browser.poll()}") from None
                    continue
                if isinstance(output, str):
                    raise SystemExit(f"onnxruntime-web: {output}")
                return output

        def compute(planes: Any) -> Any:
            exchange.inputs.put(planes)
            return answer()

        try:
            answer()
            job.run(compute)
        finally:
            browser.kill()
            browser.wait()


if __name__ == "__main__":
    main()
