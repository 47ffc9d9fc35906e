from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio as redis

from streams.core.event import Event, parse_event
from streams.delivery import Delivery
from streams.http.broker import partition_of
from streams.http.intake import to_ms
from streams.settings import Settings
from tests.http.support import SERVER, SHOP, WRITE, Api, eventually, now_ms, running_api, suggestion


def event(id: str = "e1", **fields: Any) -> dict[str, Any]:
    return {"id": id, "visitor": "v", "type": "page_view", **fields}


# --- forms


async def test_a_single_event_a_list_and_a_wrapped_list(api: Api) -> None:
    for body, count in ((event("a"), 1), ([event("b"), event("c")], 2), ({"events": [event("d")]}, 1)):
        response = await api.send(body)
        assert response.status_code == 202
        assert response.json() == {"accepted": count, "rejected": [], "visitor": "v"}
    assert [kept["id"] for kept in await api.events()] == ["a", "b", "c", "d"]


async def test_nothing_to_take_in_is_fine(api: Api) -> None:
    assert (await api.send([])).json() == {"accepted": 0, "rejected": []}


async def test_the_record_is_what_the_worker_expects(api: Api) -> None:
    before = now_ms()
    await api.send([event(f"e{number}", visitor=f"visitor-{number}", ts=5) for number in range(20)])
    after = now_ms()
    records = await api.read_topic("clickstream")
    assert len(records) == 20
    for record in records:
        parsed = parse_event(record.value)
        assert isinstance(parsed, Event)
        assert record.key == parsed.visitor.encode()
        assert record.partition == partition_of(record.key, 2)
        assert parsed.received == record.timestamp
        assert before <= record.timestamp <= after
        assert record.timestamp_type == 0  # CreateTime
        assert parsed.ts == 5
    assert {record.partition for record in records} == {0, 1}


async def test_a_visitors_events_keep_their_order(api: Api) -> None:
    await api.send([event(f"e{number:03}") for number in range(300)])
    await asyncio.gather(*(api.send([event(f"x{number}", visitor="other")]) for number in range(20)))
    await api.send([event(f"f{number:03}") for number in range(300)])
    own = [kept["id"] for kept in await api.events() if kept["visitor"] == "v"]
    assert own == [f"e{number:03}" for number in range(300)] + [f"f{number:03}" for number in range(300)]


async def test_the_clock_of_the_whole_request_is_corrected(api: Api) -> None:
    slow = now_ms() - 3_600_000
    await api.send({"sentAt": slow, "events": [event("a", ts=slow - 700), event("b", ts=slow + 1)]})
    kept = {one["id"]: one for one in await api.events()}
    assert kept["a"]["received"] - kept["a"]["ts"] == 700
    assert kept["b"]["received"] == kept["b"]["ts"]
    assert to_ms(kept["a"]["received"]) >= slow + 3_600_000


async def test_unknown_fields_reach_the_log_masked(api: Api) -> None:
    await api.send(event(note="write to jo@example.com", props={"query": "4111 1111 1111 1111"}))
    (kept,) = await api.events()
    assert kept["note"] == "write to [email]"
    assert kept["props"] == {"query": "[card]"}


# --- garbage


GARBAGE: list[tuple[bytes, str]] = [
    (b'{"type":"t"}', "schema"),
    (b"7", "schema"),
    (b"null", "schema"),
    (b'{"id":"x","type":"t","props":{"n":NaN}}', "not_json"),
    (b'{"id":"x","type":"t","props":{"n":"\xff"}}', "not_utf8"),
    (b'{"id":"x","type":"No Name"}', "bad_type"),
    (b'{"id":"x","type":"t","props":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}", "too_deep"),
    (b'{"id":"x","type":"t","props":{"s":"' + b"y" * 3000 + b'"}}', "string_too_long"),
    (b'{"id":"x","type":"t","props":{"s":"' + b"y" * 200_000 + b'"}}', "too_large"),
    (b'{"id":"x","type":"t","props":{' + b",".join(b'"k%d":1' % n for n in range(65)) + b"}}", "too_many_keys"),
]


@pytest.mark.parametrize("form", [b"[%s]", b'{"events": [%s]}'])
async def test_garbage_never_hinders_its_neighbours(api: Api, form: bytes) -> None:
    pieces = [b'{"id":"good-0","visitor":"v","type":"t"}']
    for number, (raw, _) in enumerate(GARBAGE):
        pieces += [raw, b'{"id":"good-%d","visitor":"v","type":"t"}' % (number + 1)]
    response = await api.send(form % b", ".join(pieces))
    assert response.status_code == 202
    answered = response.json()
    assert answered["accepted"] == len(GARBAGE) + 1
    assert [(one["index"], one["reason"]) for one in answered["rejected"]] == [
        (2 * number + 1, reason) for number, (_, reason) in enumerate(GARBAGE)
    ]
    assert all(one["detail"] for one in answered["rejected"])
    assert [kept["id"] for kept in await api.events()] == [f"good-{number}" for number in range(len(GARBAGE) + 1)]
    letters = await api.dead_letters()
    assert sorted(letter["reason"] for letter in letters) == sorted(reason for _, reason in GARBAGE)
    assert {letter["source"] for letter in letters} == {"http"}
    assert max(len(letter["raw"]) for letter in letters) <= 4 * 2048


async def test_dead_letters_are_capped_and_masked(api: Api) -> None:
    await api.send([{"type": "t", "props": {"mail": "jo@example.com"}}, {"type": "t", "x": "y" * 5000}])
    short, long = sorted(await api.dead_letters(), key=lambda letter: len(letter["raw"]))
    assert "[email]" in short["raw"]
    assert "jo@" not in short["raw"]
    assert (len(long["raw"]), long["truncated"]) == (2048, True)


@pytest.mark.parametrize("body", [b"", b"hello", b'{"id": NaN}', b'"x"', b'{"events": 7}', b"[1,"])
async def test_a_body_that_cannot_be_taken_apart_is_a_400_and_one_dead_letter(api: Api, body: bytes) -> None:
    response = await api.send(body)
    assert (response.status_code, response.json()["error"]) == (400, "bad_request")
    (letter,) = await api.dead_letters()
    assert letter["raw"] == body.decode()
    assert await api.events() == []


async def test_a_single_refused_event_is_reported_not_raised(api: Api) -> None:
    response = await api.send({"id": "e"})
    assert response.status_code == 202
    assert response.json()["accepted"] == 0
    assert response.json()["rejected"][0]["reason"] == "schema"


@pytest.mark.parametrize(("count", "status"), [(499, 202), (500, 202), (501, 413)])
async def test_so_many_events_fit_in_a_request(api: Api, count: int, status: int) -> None:
    response = await api.send([event(f"e{number}") for number in range(count)])
    assert response.status_code == status
    assert len(await api.events()) == (count if status == 202 else 0)


# --- who may


@pytest.mark.parametrize(
    "headers",
    [
        {"x-write-key": "wk_shop"}, {"authorization": "Bearer wk_shop"}, {"authorization": "Basic d2tfc2hvcDo="},
        SERVER, {"x-write-key": "wk_shop", "origin": SHOP},
    ],
)
async def test_the_ways_to_present_a_key(api: Api, headers: dict[str, str]) -> None:
    assert (await api.client.post("/v1/events", json=event(), headers=headers)).status_code == 202


async def test_a_key_may_stand_in_the_query_for_beacons(api: Api) -> None:
    response = await api.client.post(
        "/v1/events?key=wk_shop", content=b'{"id":"e","type":"t"}', headers={"content-type": "text/plain"}
    )
    assert response.status_code == 202


async def test_every_wrong_key_gets_one_answer_and_nothing_is_kept(api: Api) -> None:
    answers = set()
    for headers in (
        {}, {"x-write-key": ""}, {"x-write-key": "wk_gone"}, {"x-write-key": "wk_shop", "origin": "https://evil.example"},
        {"authorization": "Bearer nope"}, {"authorization": "Basic bm9wZTo="}, {"authorization": "nope"},
    ):
        response = await api.client.post("/v1/events", json=event(), headers=headers)
        answers.add((response.status_code, response.content))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert await api.events() == []


# --- visitors and tokens


async def test_an_event_without_visitor_gets_an_id_and_its_token(api: Api) -> None:
    answered = (await api.send([{"id": "a", "type": "t"}, {"id": "b", "type": "t"}])).json()
    assert {kept["visitor"] for kept in await api.events()} == {answered["visitor"]}
    bearer = {"authorization": f"Bearer {answered['token']}"}
    response = await api.client.get("/v1/suggestions", params={"visitor": answered["visitor"]}, headers=bearer)
    assert (response.status_code, response.json()) == (200, {"suggestions": []})


async def test_an_event_under_somebodys_id_gives_no_token(api: Api) -> None:
    assert "token" not in (await api.send(event())).json()


async def test_a_token_that_ends_soon_is_renewed(api: Api) -> None:
    access, now_s = api.services.access, now_ms() // 1000
    ending, _ = access.issue_token("v", now_s - 3000)
    fresh, _ = access.issue_token("v", now_s)
    ended, _ = access.issue_token("v", now_s - 3600)
    foreign, _ = access.issue_token("w", now_s - 3000)
    renewed = (await api.send(event(), x_visitor_token=ending)).json()["token"]
    assert access.token_holds("v", renewed, now_s + 3000)
    for token in (fresh, ended, foreign):
        assert "token" not in (await api.send(event(), x_visitor_token=token)).json()


# --- consent


async def test_global_privacy_control_marks_every_event(api: Api) -> None:
    await api.send([event("a"), event("b", context={"consent": "granted", "device": "tv"})], sec_gpc="1")
    contexts = [kept["context"] for kept in await api.events()]
    assert contexts == [{"consent": False}, {"consent": False}]
    assert (await api.send(event("c"), sec_gpc="0")).status_code == 202
    assert "context" not in (await api.events())[2]


# --- waiting


async def test_waiting_brings_the_suggestions_that_the_event_led_to(settings: Settings, delivery: Delivery) -> None:
    patient = Settings(**{**_fields(settings), "wait_ms_max": 60_000})
    async with running_api(patient) as api, redis.Redis.from_url(settings.redis_url) as cache:
        async def listening() -> bool:
            return (await cache.pubsub_numsub("avert:progress"))[0][1] == 1

        async def worker() -> None:
            await eventually(listening)
            assert await delivery.deliver([suggestion("v")], {partition_of(b"v", 2): 0})

        token, _ = api.services.access.issue_token("v", now_ms() // 1000)
        sent = api.send(event(), query="?wait=60000&lang=it", x_visitor_token=token)
        response, _ = await asyncio.gather(sent, worker())
        assert response.json()["processed"] is True
        assert [one["title"] for one in response.json()["suggestions"]] == ["Non lo trovi?"]


async def test_waiting_ends_at_once_when_the_worker_was_faster(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {0: 10, 1: 10})
    response = await api.send(event(), query="?wait=1000", **SERVER)
    answered = response.json()
    assert answered["processed"] is True
    assert [one["id"] for one in answered["suggestions"]] == ["s1"]


async def test_waiting_in_vain_says_so(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([], {0: -1, 1: -1})
    answered = (await api.send({"id": "a", "type": "t"}, query="?wait=30")).json()
    assert (answered["accepted"], answered["processed"], answered["suggestions"]) == (1, False, [])


async def test_waiting_does_not_open_somebody_elses_suggestions(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {0: 10, 1: 10})
    assert (await api.send(event(), query="?wait=1000")).json()["suggestions"] == []


async def test_waiting_with_the_cache_away_is_bounded_and_the_event_is_kept(settings: Settings) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    async with running_api(Settings(**{**_fields(settings), "redis_url": nowhere})) as api:
        answered = (await api.send({"id": "a", "type": "t"}, query="?wait=50")).json()
        assert (answered["accepted"], answered["processed"], answered["suggestions"]) == (1, False, [])
        assert len(await api.events()) == 1


def _fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


@pytest.mark.parametrize("wait", ["soon", "-1", "1.5", "", "٣"])
async def test_a_wait_that_is_no_number_is_refused_before_anything_is_kept(api: Api, wait: str) -> None:
    response = await api.client.post("/v1/events", params={"wait": wait}, json=event(), headers=WRITE)
    assert response.status_code == 400
    assert await api.events() == []


async def test_waiting_is_for_one_visitor(api: Api) -> None:
    response = await api.send([event("a"), event("b", visitor="w")], query="?wait=10")
    assert response.status_code == 400
    assert await api.events() == []


# --- limits


@pytest.mark.parametrize("scope", ["key", "address", "visitor"])
async def test_too_many_requests_are_turned_away_and_told_when_to_come_back(settings: Settings, scope: str) -> None:
    limited = Settings(**{**_fields(settings), f"rate_per_{scope}_per_s": 2})
    async with running_api(limited) as api:
        # Whatever second they fall into: of fifteen requests in less than three seconds, some are too many.
        responses = [await api.send(event(f"e{number}")) for number in range(15)]
        refused = [response for response in responses if response.status_code == 429]
        assert refused
        assert {response.headers["retry-after"] for response in refused} == {"1"}
        assert {response.json()["error"] for response in refused} == {"too_many_requests"}
        assert len(await api.events()) == 15 - len(refused)


async def test_the_sites_own_server_is_not_limited_by_visitor(settings: Settings) -> None:
    async with running_api(Settings(**{**_fields(settings), "rate_per_visitor_per_s": 1})) as api:
        for number in range(5):
            response = await api.client.post("/v1/events", json=event(f"e{number}"), headers=SERVER)
            assert response.status_code == 202


# --- renewals


async def minted(api: Api) -> dict[str, str]:
    """A visitor who was given his id just now: `visitor`, `token`, `renewal`."""
    return (await api.send({"id": "first", "type": "page_view"})).json()


async def test_a_renewal_comes_with_the_id_and_gets_a_token_for_it(api: Api) -> None:
    given = await minted(api)
    body = {"events": [{"id": "e2", "type": "page_view", "visitor": given["visitor"]}], "renewal": given["renewal"]}
    answer = (await api.send(body)).json()
    assert api.services.access.token_holds(given["visitor"], answer["token"], now_ms() // 1000)
    assert "renewal" not in answer


async def test_a_renewal_in_a_single_event_works_and_is_not_kept(api: Api) -> None:
    given = await minted(api)
    event = {"id": "e2", "type": "page_view", "visitor": given["visitor"], "renewal": given["renewal"]}
    assert (await api.send(event)).json()["token"]
    assert [list(event) for event in await api.events() if "renewal" in event] == []


async def test_a_token_can_be_got_without_an_event(api: Api) -> None:
    given = await minted(api)
    answer = await api.send({"events": [], "visitor": given["visitor"], "renewal": given["renewal"]})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 0
    assert answer.json()["token"]


@pytest.mark.parametrize("renewal", ["", "x", "k2.1.x", None, 7, "of another"])
async def test_no_other_renewal_gets_a_token_and_the_events_are_taken(api: Api, renewal: object) -> None:
    given, other = await minted(api), await minted(api)
    said = other["renewal"] if renewal == "of another" else renewal
    event = {"id": "e2", "type": "page_view", "visitor": given["visitor"]}
    answer = (await api.send({"events": [event], "renewal": said})).json()
    assert answer["accepted"] == 1
    assert "token" not in answer


async def test_a_renewal_opens_nothing_by_itself(api: Api) -> None:
    given = await minted(api)
    asked = f"/v1/suggestions?visitor={given['visitor']}"
    assert (await api.client.get(f"{asked}&token={given['token']}")).status_code == 200
    assert (await api.client.get(f"{asked}&token={given['renewal']}")).status_code == 401


# --- headers


@pytest.mark.parametrize("name", ["x-write-key", "authorization", "origin", "content-encoding"])
async def test_a_header_that_must_stand_alone_is_refused_twice(api: Api, name: str) -> None:
    headers = [("x-write-key", "wk_shop"), (name, ""), (name, "")]
    answer = await api.client.post("/v1/events", content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert name in answer.json()["message"]


async def test_a_query_of_very_many_fields_is_refused(api: Api) -> None:
    query = "&".join(f"a{number}=1" for number in range(201))
    assert (await api.send({"id": "e1", "type": "t"}, query=f"?{query}")).status_code == 400
