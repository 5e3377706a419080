"""Serve the page of this bundle to the browsers of this machine, and to nobody else.

    python serve.py [--port 8000]

Nothing is given out but this folder and the models beside it. The headers isolate the page, which
is what browsers want before it may use several threads, and let it speak to this server alone.
"""

import argparse
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
SERVED = (f"/{HERE.name}/", "/models/")
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self'; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Answer(SimpleHTTPRequestHandler):
    """Give out files of the folders that are served."""

    extensions_map = {  # noqa: RUF012  # as the base has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
    }

    def do_GET(self) -> None:
        """Answer a request; the root leads to the page."""
        if self._is_ours():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer likewise, without the content."""
        if self._is_ours():
            super().do_HEAD()

    def _is_ours(self) -> bool:
        """Return whether a path is given out; otherwise it is answered here."""
        path = unquote(urlsplit(self.path).path)
        _, port = self.request.getsockname()
        if self.headers.get("Host") not in {f"127.0.0.1:{port}", f"localhost:{port}"}:
            self.send_error(HTTPStatus.FORBIDDEN)  # another site's name was made to lead here
        elif path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", f"{SERVED[0]}index.html")
            self.end_headers()
        elif path.startswith(SERVED) and ".." not in path and not path.endswith("/"):
            return True
        else:
            self.send_error(HTTPStatus.NOT_FOUND)
        return False

    def end_headers(self) -> None:
        """Send the headers of every answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()


def main() -> None:
    """Serve until the command is ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    port = parser.parse_args().port
    answer = partial(Answer, directory=str(HERE.parent))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), answer)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        print(
            f"serve.py: cannot listen on port {port}: {reason}; say another --port", file=sys.stderr
        )
        raise SystemExit(2) from None
    print(f"http://127.0.0.1:{server.server_port}/  (Ctrl+C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
