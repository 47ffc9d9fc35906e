"""The pages that browsers open, and the SDKs' files for them, on an origin of their own."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from tests.clients.loopback import Loopback

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".cache" / "clients" / "pages"  # `python -m tests.clients.install` puts them there


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Pages(Loopback):
    """A static web server on loopback."""

    def __init__(self) -> None:
        super().__init__(partial(_Handler, directory=str(BUILT)))
        self.origin = f"http://127.0.0.1:{self.port}"
