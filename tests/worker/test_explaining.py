"""Why, and why not, asked of a worker over its private port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.core.event import Event, encode_event
from streams.core.ruleset import Ruleset
from streams.core.visitor import encode_visitor
from streams.embedded.child import PortLease
from streams.errors import SettingsError
from streams.settings import Settings
from streams.worker.explain_client import NoAnswerError, ask_workers, machines
from streams.worker.explaining import Explainer, load_admin_keys
from streams.worker.machine import core_machine
from streams.worker.partition import PartitionMemory
from streams.worker.server import StatusServer
from tests.core.build import T0, Log, compiled, count
from tests.support.programs import running_worker
from tests.worker.test_reload import RULE
from tests.worker.test_reload import write as write_rules

KEY = "ak_secret"
RULES = compiled(count("search", at_least=2), count("other", at_least=1))


class Served:
    """One worker's server with one partition of `partitions`."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.rules: Ruleset | None = RULES
        self.memory = PartitionMemory(partition, core_machine(RULES))
        self.memory.clock = T0 + 5
        self.memories = [self.memory]
        explainer = Explainer(lambda: (KEY, "ak_other"), lambda: self.memories, lambda: partitions, lambda: self.rules)
        self.server = StatusServer("127.0.0.1", 0, lambda: True, explainer.handle)
        log = Log(RULES).add(0, "search")
        assert log.state is not None
        self.memory.rows["v"] = encode_visitor(log.state)

    async def get(self, key: str | None = KEY, scheme: str = "Bearer", **query: str) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"{scheme} {key}"}
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{self.server.address}/v1/explain", params=query, headers=headers)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    await served.server.start()
    yield served
    await served.server.close()


async def test_each_rule_with_its_conditions(served: Served) -> None:
    answer = (await served.get(visitor="v")).json()
    assert (answer["visitor"], answer["partition"], answer["at"]) == ("v", 0, T0 + 5)
    assert answer["version"] == RULES.version
    assert [rule["rule"] for rule in answer["rules"]] == ["r0", "r1"]
    (condition,) = answer["rules"][0]["conditions"]
    assert (condition["text"], condition["value"], condition["lacks"]) == ("count search, at least 2", 1, "1 more")


async def test_one_rule(served: Served) -> None:
    assert [rule["rule"] for rule in (await served.get(visitor="v", rule="r1")).json()["rules"]] == ["r1"]
    assert (await served.get(visitor="v", rule="nobody")).status_code == 404


async def test_a_visitor_of_whom_nothing_is_kept(served: Served) -> None:
    answer = await served.get(visitor="nobody", rule="r0")
    assert answer.status_code == 200
    assert "nothing is kept" in answer.json()["rules"][0]["stopped_by"][0]


@pytest.mark.parametrize(("key", "scheme"), [(None, ""), ("ak_", "Bearer"), ("ak_secret2", "Bearer"), (KEY, "Basic")])
async def test_only_an_admin_is_told(served: Served, key: str | None, scheme: str) -> None:
    assert (await served.get(key, scheme, visitor="v")).status_code == 401


async def test_what_cannot_be_answered(served: Served) -> None:
    assert (await served.get()).status_code == 400
    served.memories = []
    assert (await served.get(visitor="v")).status_code == 421
    served.rules = None
    assert (await served.get(visitor="v")).status_code == 503


async def test_asking_does_not_change_the_state(served: Served) -> None:
    before = dict(served.memory.rows)
    await served.get(visitor="v")
    assert served.memory.rows == before
    assert served.memory.hot == {}


# --- the keys file ---------------------------------------------------------------------------------------------------


def test_keys_of_the_keys_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(msgspec.json.encode({"admin_keys": [KEY], "server_keys": ["sk"]}))
    assert load_admin_keys(path) == (KEY,)
    assert load_admin_keys(None) == ()


def test_a_keys_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_admin_keys(tmp_path / "keys.json")
    (tmp_path / "keys.json").write_text(f'{{"admin_keys": "{KEY}"}}')
    with pytest.raises(SettingsError, match="keys file") as caught:
        load_admin_keys(tmp_path / "keys.json")
    assert KEY not in str(caught.value)


# --- asking ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "keys.json"
    path.write_bytes(msgspec.json.encode({"admin_keys": [KEY]}))
    return Settings(keys_file=path)


async def test_the_one_that_has_the_visitor_answers(served: Served, settings: Settings) -> None:
    elsewhere = Served()
    elsewhere.memories = []
    await elsewhere.server.start()
    try:
        addresses = [elsewhere.server.address, served.server.address.removeprefix("http://")]
        found = await asyncio.to_thread(ask_workers, settings, addresses, "v", "r0")
        assert [rule.rule for rule in found.rules] == ["r0"]
        with pytest.raises(NoAnswerError, match=r"421 partition 0 is with another worker"):
            await asyncio.to_thread(ask_workers, settings, addresses[:1], "v", None)
        with pytest.raises(NoAnswerError, match=r"404 there is no such rule"):
            await asyncio.to_thread(ask_workers, settings, addresses[1:], "v", "nobody")
    finally:
        await elsewhere.server.close()


def test_nobody_there(settings: Settings) -> None:
    with pytest.raises(NoAnswerError, match=r"127\.0\.0\.1:1: .*refused"):
        ask_workers(settings, ["http://127.0.0.1:1"], "v", None)


def test_a_name_of_several_machines_is_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [(2, 1, 6, "", (host, 9465)) for host in ("10.0.0.5", "10.0.0.6", "fd00::5", "10.0.0.5")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: some)
    every = ["http://10.0.0.5:9465", "http://10.0.0.6:9465", "http://[fd00::5]:9465"]
    assert machines("worker:9465") == machines("http://worker:9465/") == every
    assert machines("https://worker:9465/") == ["https://worker:9465"]
    monkeypatch.undo()
    assert machines("nobody.invalid:1") == ["http://nobody.invalid:1"]
    assert machines("127.0.0.1:x") == ["http://127.0.0.1:x"]


def test_without_an_admin_key() -> None:
    with pytest.raises(SettingsError, match="admin_keys"):
        ask_workers(Settings(), [], "v", None)


async def test_a_running_worker_explains(broker: str, redis_url: str, unique: str, tmp_path: Path) -> None:
    """Events through the log, a real worker, its private port, the command's own client."""
    rules = tmp_path / "rules"
    write_rules(rules, text=RULE.format(title="T").replace("{event: search}", "{seen: {event: search}}"))
    port = PortLease()
    keys = tmp_path / "keys.json"
    keys.write_bytes(msgspec.json.encode({"admin_keys": [KEY]}))
    settings = Settings(
        kafka_bootstrap=broker, redis_url=redis_url, rules_dir=rules, app_id=unique, topic_prefix=f"{unique}.",
        partitions=3, broker_rebalance_timeout_s=6.0, fetch_wait_ms=20, worker_http_port=port.port, keys_file=keys,
    )
    with running_worker(settings, tmp_path):
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        await producer.start()
        now = time.time_ns() // 1_000_000
        for visitor in ("one", "two", "three", "four"):
            event = Event(id=visitor, visitor=visitor, type="search", ts=now)
            await producer.send_and_wait(settings.topic("clickstream"), encode_event(event), key=visitor.encode())
        await producer.stop()
        async with asyncio.timeout(20):
            for visitor in ("one", "two", "three", "four"):
                found = None
                while found is None or not found.rules[0].holds:  # the worker has it a moment after the broker
                    found = await asyncio.to_thread(ask_workers, settings, [], visitor, "r")
                assert found.rules[0].stopped_by[0] == "its condition has held before: it fires when that begins"
                assert found.rules[0].fired_in_session == 1
