"""What nobody sends by mistake, against the running server: each is refused, and costs the others nothing."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from streams.http.access import Access
from streams.keys import Keys, TokenSecret
from streams.settings import Settings
from tests.http.process import api_process
from tests.http.served import Served, serving
from tests.http.support import SERVER, WRITE, delivering, eventually, now_ms, suggestion

HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Write-Key: wk_shop\r\n"


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with serving(settings, connected=True) as running:
        yield running


async def raw(served: Served, sent: bytes) -> bytes:
    """What the server says to these bytes, until it closes or has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.services.settings.api_port)
    try:
        writer.write(sent)
        async with asyncio.timeout(20):
            return await reader.read(65_536)
    finally:
        writer.close()


async def post(served: Served, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.client.post("/v1/events", content=body, headers={**WRITE, **named})


async def still_serves(served: Served) -> bool:
    """Whether the next one is served as if nothing had been."""
    return (await post(served, b'{"id":"after","visitor":"v","type":"page_view"}')).status_code == 202


# --- slow


@pytest.mark.parametrize(
    "head", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids=["none", "line", "headers"]
)
async def test_a_head_that_is_not_finished_in_time_ends_the_connection(settings: Settings, head: bytes) -> None:
    async with serving(msgspec.structs.replace(settings, head_timeout_s=0.5)) as served:
        assert await raw(served, head) == b""


async def test_a_head_that_trickles_in_does_not_last_longer(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, head_timeout_s=0.5)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.services.settings.api_port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")

        async def trickle() -> None:
            while True:
                writer.write(b"x-a: 1\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        trickling.cancel()
        writer.close()


async def test_a_body_that_trickles_in_is_given_up_and_meanwhile_others_are_served(settings: Settings) -> None:
    slow = msgspec.structs.replace(settings, body_timeout_s=1.0, requests_max=1)
    async with serving(slow, connected=True) as served:
        slow_ones = [
            asyncio.create_task(raw(served, HEAD + b'Content-Length: 100\r\n\r\n{"id"')) for _ in range(5)
        ]
        assert await still_serves(served)
        for answer in await asyncio.gather(*slow_ones):
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"request_timeout" in answer


# --- large


async def test_a_bomb_is_refused_before_it_is_whole(served: Served) -> None:
    bomb = gzip.compress(b" " * 300_000_000, 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(bomb) < 1024 * 1024
    assert (await post(served, bomb)).status_code == 413
    assert (await post(served, bomb, content_encoding="gzip")).status_code == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; the bomb holds 300 MB
    assert await still_serves(served)


async def test_a_bomb_within_a_bomb_is_unpacked_once(served: Served) -> None:
    answer = await post(served, gzip.compress(gzip.compress(b" " * 10_000_000)))
    assert answer.status_code == 400


async def test_deflate_is_not_spoken(served: Served) -> None:
    assert (await post(served, zlib.compress(b"[]"), content_encoding="deflate")).status_code == 400


async def test_a_body_without_end_is_refused_at_its_limit(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    try:
        answer = await served.client.post("/v1/events", content=endless(), headers=WRITE)
    except httpx.HTTPError:  # the server closed while we were still sending: as good a refusal
        return
    finally:
        assert await still_serves(served)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 400_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(5000)) + b"\r\n",
        b"GET /healthz?" + b"a" * 400_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["one header", "many headers", "query"],
)
async def test_a_head_that_is_too_large_is_refused(served: Served, head: bytes) -> None:
    assert (await raw(served, head)).startswith((b"HTTP/1.1 431", b"HTTP/1.1 414"))
    assert await still_serves(served)


async def test_a_query_of_very_many_fields_costs_nothing(served: Served) -> None:
    query = "&".join(f"a{number}" for number in range(10_000))
    assert (await served.client.get(f"/v1/suggestions?visitor=v&{query}")).status_code == 400


# --- crooked


@pytest.mark.parametrize(
    ("body", "rejected"),
    [
        (b'{"id":"a","type":"t","props":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", None),
        (b'{"id":"a","type":"t","props":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", "too_deep"),
        (b'{"id":"a","type":"t","props":{"a":' + b"[" * 1500 + b"]" * 1500 + b"}}", None),
        (b'{"id":"a","type":"t","props":{"a":1e999}}', None),
        (b'{"id":"a","type":"t","ts":' + b"9" * 400 + b"}", None),
        (b'{"id":"a","type":"t","props":{"a":NaN}}', None),
        (b'{"id":"a\\u0000b","visitor":"v\\u0000w","type":"t","props":{"\\u0000":"\\u0000"}}', None),
        (b'{"id":"a","visitor":"\\ud800","type":"t"}', None),
        (b'{"id":"a","type":"t","props":{"a":"\xff\xfe"}}', None),
        (b'{"id":"a","id":"b","type":"t","type":"u"}', None),
        (b"\x00" * 1000, None), (b"\xff" * 1000, None), (b"[" * 100_000, None), (b'"' * 100_001, None), (b"", None),
    ],
    ids=[
        "5,000 deep", "500 deep", "1,500 brackets", "infinite", "400 digits", "NaN", "nulls", "half a surrogate",
        "not UTF-8", "a name twice", "zeros", "ones", "open brackets", "quotes", "nothing",
    ],
)
async def test_no_body_is_a_defect(served: Served, body: bytes, rejected: str | None) -> None:
    answer = await post(served, body)
    assert answer.status_code in (202, 400, 413), answer.text
    if rejected is not None:
        assert [each["reason"] for each in answer.json()["rejected"]] == [rejected]
    assert await still_serves(served)


@pytest.mark.parametrize(
    "query",
    [
        "visitor=%00", "visitor=%ff%fe", "visitor=v%0d%0aX-Evil:%201", "visitor=v&placement=%00", "visitor=*",
        "visitor=" + "%F0%9F%98%80" * 32, "visitor=v&lang=" + "x" * 5000, "visitor=v&session=%2e%2e%2f",
    ],
)
async def test_no_query_is_a_defect(served: Served, query: str) -> None:
    answer = await served.client.get(f"/v1/suggestions?{query}", headers=SERVER)
    assert (answer.status_code, answer.json()) == (200, {"suggestions": []})
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Null: a\0b\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}  ",
        HEAD + b"Content-Length: -1\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n\r\n\r\n",
    ],
    ids=[
        "null in path", "null in header", "two lengths", "negative length", "bad chunk", "folded", "TLS", "HTTP/2",
        "empty",
    ],
)
async def test_no_head_is_a_defect(settings: Settings, head: bytes) -> None:
    hasty = msgspec.structs.replace(settings, head_timeout_s=1.0, body_timeout_s=1.0)
    async with serving(hasty, connected=True) as served:
        assert (await raw(served, head))[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 408")
        assert await still_serves(served)


async def test_a_length_and_chunks_together_are_read_as_chunks_and_end_the_connection(served: Served) -> None:
    """What is smuggled behind the chunks is never taken for a request."""
    smuggled = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = HEAD + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" % (12 + len(smuggled))
    answer = await raw(served, sent + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"openapi" not in answer


# --- many


async def test_above_its_bound_a_process_says_503_at_once_and_serves_again_at_once(settings: Settings) -> None:
    bounded = msgspec.structs.replace(settings, requests_max=5, wait_ms_max=1000)
    async with serving(bounded, connected=True) as served:
        url = f"{served.url}/v1/events?wait=1000"
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=20) as client:
            async def send(number: int) -> httpx.Response:
                event = {"id": f"e{number}", "visitor": "v", "type": "page_view"}
                return await client.post(url, json=event, headers=WRITE)

            answers = await asyncio.gather(*(send(number) for number in range(40)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {202, 503}
        assert len(answers) - len(refused) >= 5
        assert {answer.json()["error"] for answer in refused} == {"overloaded"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert await still_serves(served)


async def test_bytes_that_are_held_are_bounded_as_they_come_and_as_they_are_unpacked(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, bodies_bytes_max=100_000), connected=True) as served:
        large = b'{"events":[' + b",".join([b'{"id":"a","type":"t"}'] * 10) + b"]" + b" " * 150_000 + b"}"
        for body in (large, gzip.compress(large)):
            answer = await post(served, body)
            assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
            assert await still_serves(served)


async def test_probes_are_answered_whatever_is_under_way(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, requests_max=0), connected=True) as served:
        assert (await served.client.get("/v1/suggestions?visitor=v", headers=SERVER)).status_code == 503
        assert (await served.client.get("/healthz")).status_code == 200
        assert (await served.client.get("/readyz")).status_code == 200


async def test_one_wait_too_many_is_answered_without_waiting(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, waits_max=0), connected=True) as served:
        answer = await served.client.post(
            "/v1/events?wait=1000", json={"id": "e", "visitor": "v", "type": "t"}, headers=WRITE
        )
        assert (answer.status_code, answer.json()["processed"]) == (202, False)


async def test_memory_does_not_grow_with_what_is_refused(settings: Settings) -> None:
    """Large bodies, bombs, slow bodies and streams without a right, by the thousand, to a process of its own."""
    async with api_process(settings, AVERT_BODY_TIMEOUT_S="1", AVERT_RATE_PER_ADDRESS_PER_S="1000000") as api:
        url = await api.url()
        key = {"x-write-key": api.says("ephemeral_keys")["write_key"]}
        bomb, large = gzip.compress(b" " * 20_000_000), b"[" * 900_000
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
            async def ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            async def wave() -> None:
                calls = []
                for number in range(50):
                    calls += [
                        client.post("/v1/events", content=bomb, headers=key),
                        client.post("/v1/events", content=large if number % 10 == 0 else b"[[[", headers=key),
                        client.get(f"/v1/suggestions/stream?visitor=v{number}&token=x"),
                    ]
                statuses = {answer.status_code for answer in await asyncio.gather(*calls)}
                assert statuses <= {400, 401, 408, 413, 503}

            await eventually(ready)
            for _ in range(3):
                await wave()
            before = _resident_bytes(api.process.pid)
            for _ in range(6):
                await wave()
            assert _resident_bytes(api.process.pid) - before < 30_000_000


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- guessing


def changed(token: str, at: int) -> str:
    """The token with another character at one place."""
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


@pytest.fixture
async def unlimited(settings: Settings) -> AsyncIterator[Served]:
    async with serving(msgspec.structs.replace(settings, rate_per_address_per_s=10**9)) as running:
        yield running


async def test_no_guess_opens_anything_and_all_are_answered_alike(unlimited: Served) -> None:
    """10,000 tokens: forged, ended, cut, changed, of another visitor or purpose. One answer, byte for byte."""
    visitor, token = unlimited.visitor()
    now_s = now_ms() // 1000
    stranger = Access(Keys(token_secrets=(TokenSecret("k2", "guessed"),)), "minted", 3600)
    kinds = [
        lambda number: stranger.issue_token(visitor, now_s + number)[0],
        lambda number: unlimited.services.access.issue_token(visitor, now_s - 3600 - number)[0],
        lambda number: token[: number % len(token)],
        lambda number: unlimited.services.access.issue_token(f"other-{number}", now_s)[0],
        lambda number: unlimited.services.access.issue_renewal(visitor, now_s + number),
        lambda number: changed(token, number % len(token)),
        lambda number: os.urandom(20).hex(),
    ]
    async with delivering(unlimited.services.settings.redis_url) as delivery:
        await delivery.deliver([suggestion(visitor)], {})
    answers: set[tuple[int, bytes, tuple[str, ...]]] = set()
    reader, writer = await asyncio.open_connection("127.0.0.1", unlimited.services.settings.api_port)

    async def ask(presented: str) -> None:
        writer.write(f"GET /v1/suggestions?visitor={visitor}&token={presented} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.decode().split("\r\n")[1:] if line and not line.startswith("date")]
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length"))
        answers.add((int(head.split()[1]), await reader.readexactly(length), tuple(sorted(lines))))

    for number in range(10_000):
        await ask(kinds[number % len(kinds)](number))
    assert {status for status, _, _ in answers} == {401}
    assert len(answers) == 1
    await ask(token)
    assert {status for status, _, _ in answers} == {401, 200}
    writer.close()
