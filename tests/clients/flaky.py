"""A proxy between a client and the collector that spoils the first try of every request, in one of two ways."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from typing import Literal

from tests.clients.loopback import Loopback

Spoil = Literal["refused", "lost"]  # answered with 500 and not handed on; handed on, and the answer lost
_FORWARD_TIMEOUT_S = 30.0
_HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


class FlakyProxy(Loopback):
    """Hands requests on to `target_port`. Of each path the first `tries` POSTs are spoiled."""

    def __init__(self, target_port: int, spoil: Spoil, tries: int = 1) -> None:
        self.spoiled: Counter[str] = Counter()  # by path
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            def decide(self) -> Spoil | None:
                path = self.path.partition("?")[0]
                with proxy._lock:
                    if self.command != "POST" or proxy.spoiled[path] >= tries or not proxy.spoils(path):
                        return None
                    proxy.spoiled[path] += 1
                return spoil

        Handler.target_port = target_port
        super().__init__(Handler)

    @staticmethod
    def spoils(path: str) -> bool:
        """Whether events are sent there: flags and configurations are asked once, and their loss is no loss."""
        return not path.startswith(("/flags", "/decide"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target_port = 0

    def decide(self) -> Spoil | None:
        raise NotImplementedError

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if "chunked" in (self.headers.get("transfer-encoding") or ""):
            body = self._dechunked()
        spoil = self.decide()
        if spoil == "refused":
            self._answer(500, [("access-control-allow-origin", self.headers.get("origin") or "*"),
                               ("access-control-allow-credentials", "true")], b"{}")
            return
        status, headers, answer = self._forward(body)
        if spoil == "lost":
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, headers, answer)

    def _dechunked(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=_FORWARD_TIMEOUT_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_HEADERS:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_OPTIONS = _handle  # the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
