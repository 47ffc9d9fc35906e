"""A request's body: bounded before and after decompression, whatever the client claims."""

from __future__ import annotations

import zlib

from starlette.requests import Request

from streams.errors import PayloadTooLargeError, RequestError
from streams.http.gate import HELD, Held

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31  # zlib's number for "gzip header and trailer, largest window"
_MEMBERS_MAX = 8  # clients write one; a body of thousands of empty ones would cost far more than its size
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip"})


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The body, decompressed if it is gzip (by header or by its first bytes).

    Raises PayloadTooLargeError as soon as more than `bytes_max` have arrived or come out, and RequestError for an
    encoding that is not spoken here or a broken gzip.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise RequestError(f"content-encoding {encoding[:20]!r} is not spoken here; gzip is")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > bytes_max:
            raise _too_large(bytes_max)
        pieces.append(piece)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    # A proxy may have decompressed and left the header, a beacon cannot set it: the bytes themselves decide.
    if not body.startswith(GZIP_MAGIC):
        return body
    unpacked = gunzip(body, bytes_max)
    held: Held | None = request.scope.get(HELD)
    if held is not None:
        held.add(len(unpacked))
    return unpacked


def gunzip(packed: bytes, bytes_max: int) -> bytes:
    """Decompress one or more gzip members; never holds more than `bytes_max` + 1 bytes of what comes out."""
    pieces: list[bytes] = []
    room = bytes_max + 1
    for _ in range(_MEMBERS_MAX):
        if not packed:
            break
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            piece = member.decompress(packed, room)
        except zlib.error as error:
            raise RequestError(f"the gzip body is broken: {error}") from error
        room -= len(piece)
        if room <= 0:
            raise _too_large(bytes_max)
        if not member.eof:
            raise RequestError("the gzip body is cut short")
        pieces.append(piece)
        packed = member.unused_data
    if packed:
        raise RequestError(f"the gzip body has more than {_MEMBERS_MAX} members")
    return b"".join(pieces)


def _too_large(bytes_max: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"a body has at most {bytes_max} bytes, decompressed")
