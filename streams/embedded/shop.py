"""The demo shop: static pages on a loopback port of their own, under a strict policy; another origin than the API's.

1. Every page is `layout.html`; `shop.js` draws what its path asks for. The server only knows which paths there are.
2. The policy lets in what the shop itself serves and the API's script and calls, and nothing else: nothing inline, no
   evaluation, no HTML from strings (Trusted Types).
3. ``/decisions?visitor=ID`` tells the panel what the engine decided for a visitor, control groups included. No real
   site would: whoever knows that he is in a control group behaves like it. It answers on loopback only.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

FOLDER = Path(__file__).with_name("shop")
LAYOUT = "layout.html"
# The pages, by path; whatever else is asked for is a file of FOLDER or does not exist.
PAGES = re.compile(
    r"/|/search|/cart|/offers|/help(/[a-z-]{1,40})?|/p/[a-z-]{1,40}|/checkout(/done|/good-to-know)?"
    r"|/orders/(track|change)|/contact(/callback)?"
)
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IDLE_CONNECTION_S = 15  # browsers keep connections; a thread each waits for them

Decisions = Callable[[str], list[dict[str, Any]]]


def policy(api: str) -> str:
    """The shop's Content-Security-Policy: as strict as there are words for, with the API at `api` let in."""
    rules = {
        "default-src": "'none'", "script-src": f"'self' {api}", "style-src": "'self'", "img-src": "'self'",
        "connect-src": f"'self' {api}", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class Shop:
    """Context manager of the shop on 127.0.0.1:`port`. Its threads end with the process at the latest."""

    def __init__(self, port: int, api: str, write_key: str, decisions: Decisions = lambda _visitor: []) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
        layout = self._files.pop(LAYOUT).decode()
        self._page = layout.replace("{{api}}", api).replace("{{key}}", write_key).encode()
        self._policy = policy(api)
        self._decisions = decisions
        shop = self

        class Handler(_Handler):
            def answer(self) -> None:
                shop.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="shop", daemon=True)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: _Handler) -> None:
        """One GET."""
        asked = urlsplit(handler.path)
        name = asked.path.removeprefix("/")
        if name in self._files:
            handler.send(self._files[name], TYPES[Path(name).suffix], {})
        elif asked.path == "/decisions":
            visitor = parse_qs(asked.query).get("visitor", [""])[0]
            handler.send(msgspec.json.encode(self._decisions(visitor)), "application/json", {})
        else:
            found = PAGES.fullmatch(asked.path) is not None
            status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            handler.send(self._page, TYPES[".html"], {"Content-Security-Policy": self._policy}, status)


class _Handler(BaseHTTPRequestHandler):
    """One connection; what is answered is the shop's."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_CONNECTION_S

    def answer(self) -> None:
        """Answer the request at hand."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """GET."""
        self.answer()

    def send(self, body: bytes, kind: str, headers: dict[str, str], status: HTTPStatus = HTTPStatus.OK) -> None:
        """Status, headers that hold for everything here, body."""
        self.send_response(status)
        fixed = {
            "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin",
        }
        for name, value in (fixed | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing: the terminal belongs to the demo's view."""
