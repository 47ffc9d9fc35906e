"""``GET /avert.js``: the same bytes for everybody, compressed once, revalidated by ETag."""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

FILE = "avert.min.js"
# An hour in the browser, and a day more while it looks for a newer one in the background: a fix reaches every page
# within an hour of looking, and no page waits for it.
CACHE_CONTROL = "public, max-age=3600, stale-while-revalidate=86400"


class _Form(NamedTuple):
    """One encoding of the script. Its ETag is its own: the bytes differ."""

    body: bytes
    encoding: str | None
    etag: str


class Snippet:
    """Serves the snippet. Both forms are made at start, the compressed one with no time in it: the same everywhere."""

    def __init__(self) -> None:
        script = resources.files(__package__).joinpath(FILE).read_bytes()
        digest = hashlib.sha256(script).hexdigest()[:20]
        self._plain = _Form(script, None, f'"{digest}"')
        self._gzip = _Form(gzip.compress(script, 9, mtime=0), "gzip", f'"{digest}-gz"')

    async def get(self, request: Request) -> Response:
        """Answer ``GET /avert.js``: 200, or 304 to whoever has it already."""
        form = self._gzip if _takes_gzip(request.headers.get("accept-encoding", "")) else self._plain
        headers = {
            "etag": form.etag,
            "cache-control": CACHE_CONTROL,
            "vary": "Accept-Encoding",
            "cross-origin-resource-policy": "cross-origin",  # pages that are cross-origin isolated may load it too
            "x-content-type-options": "nosniff",
        }
        if _matches(request.headers.get("if-none-match", ""), form.etag):
            return Response(status_code=304, headers=headers)
        if form.encoding:
            headers["content-encoding"] = form.encoding
        return Response(form.body, media_type="text/javascript", headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Whether `Accept-Encoding` names gzip (or anything) and does not rule it out with ``q=0``."""
    weights: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        name, _, parameter = item.partition(";")
        weights[name.strip()] = parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return weights.get("gzip", weights.get("*", False))


def _matches(wanted: str, etag: str) -> bool:
    """Whether `If-None-Match` names this form; weakly, as a proxy may have made it weak (RFC 9110, 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in wanted.split(","))
