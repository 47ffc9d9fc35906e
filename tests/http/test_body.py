from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from streams.errors import PayloadTooLargeError, RequestError
from streams.http.body import gunzip
from tests.http.support import WRITE, Api

EVENT = b'{"id":"e","visitor":"v","type":"page_view"}'


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_the_limit_holds_after_decompression(size: int, fits: bool) -> None:
    packed = gzip.compress(b"x" * size)
    if fits:
        assert gunzip(packed, 100) == b"x" * size
    else:
        with pytest.raises(PayloadTooLargeError):
            gunzip(packed, 100)


def test_a_bomb_is_never_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLargeError):
            gunzip(bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_members_of_one_body_share_the_limit() -> None:
    member = gzip.compress(b"x" * 50)
    assert gunzip(member * 2, 100) == b"x" * 100
    with pytest.raises(PayloadTooLargeError):
        gunzip(member * 3, 100)


def test_thousands_of_members_are_refused() -> None:
    with pytest.raises(RequestError, match="members"):
        gunzip(gzip.compress(b"") * 9, 100)


@pytest.mark.parametrize(
    "packed", [gzip.compress(EVENT)[:-1], gzip.compress(EVENT)[:12], b"\x1f\x8bnonsense"],
    ids=["one byte short", "cut", "nonsense"],
)
def test_a_broken_gzip_is_a_bad_request(packed: bytes) -> None:
    with pytest.raises(RequestError):
        gunzip(packed, 1000)


def test_a_wrong_checksum_is_a_bad_request() -> None:
    packed = bytearray(gzip.compress(EVENT))
    packed[-6] ^= 1
    with pytest.raises(RequestError):
        gunzip(bytes(packed), 1000)


async def test_gzip_is_known_by_header_or_by_its_first_bytes(api: Api) -> None:
    packed = gzip.compress(EVENT)
    assert (await api.send(packed, content_encoding="gzip")).json()["accepted"] == 1
    assert (await api.send(packed)).json()["accepted"] == 1
    assert (await api.send(EVENT, content_encoding="gzip")).json()["accepted"] == 1  # a proxy unpacked it
    assert (await api.send(EVENT, content_encoding="identity")).json()["accepted"] == 1


async def test_another_encoding_is_refused(api: Api) -> None:
    response = await api.send(zlib.compress(EVENT), content_encoding="deflate")
    assert (response.status_code, response.json()["error"]) == (400, "bad_request")


async def test_a_bomb_is_answered_413(api: Api) -> None:
    response = await api.send(gzip.compress(b" " * 20_000_000 + EVENT), content_encoding="gzip")
    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")


@pytest.mark.parametrize(("excess", "status"), [(-1, 202), (0, 202), (1, 413)])
async def test_the_limit_of_a_plain_body(api: Api, excess: int, status: int) -> None:
    size = api.settings.request_bytes_max + excess
    assert (await api.send(EVENT + b" " * (size - len(EVENT)))).status_code == (202 if status == 202 else 413)


async def test_a_body_without_end_is_cut_off(api: Api) -> None:
    given = 0

    async def endless():
        nonlocal given
        while True:
            given += 1
            yield b" " * 65_536

    response = await api.client.post("/v1/events", content=endless(), headers=WRITE)
    assert response.status_code == 413
    assert given <= 18
