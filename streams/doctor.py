"""Is this installation fit for work? One finding a question, each with what to do about it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import redis.asyncio as redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams.core import build
from streams.errors import AvertError
from streams.keys import SECRET_CHARS_MIN, AdminKey, ServerKey, key_name, load_keys
from streams.retention import topic_configurations
from streams.rulefiles.load import load_rules
from streams.rulefiles.options import engine_options
from streams.settings import Settings

_IDS_PER_PARTITION = 50  # newest events that are looked at for their visitors' ids
_WORD_AND_NUMBER = re.compile(r"[a-z]+[._:-]?[0-9]{1,12}", re.IGNORECASE)  # customer-4711
TIMEOUT_S = 5.0  # for one server's answer


class Finding(msgspec.Struct, frozen=True):
    """What was asked, and the answer. `problem`: it will not work so; `warning`: it will, but look at it."""

    subject: str
    state: Literal["ok", "warning", "problem"]
    text: str


async def examine(settings: Settings) -> list[Finding]:
    """Ask everything. Never raises for what it finds."""
    findings = []
    for subject, question in QUESTIONS.items():
        try:
            async with asyncio.timeout(TIMEOUT_S):
                state, text = await question(settings)
        except TimeoutError:
            state, text = "problem", f"no answer within {TIMEOUT_S:g} s"
        except (AvertError, KafkaError, redis.RedisError, OSError) as error:
            state, text = "problem", str(error) or type(error).__name__
        findings.append(Finding(subject, state, text))
    return findings


Answer = tuple[Literal["ok", "warning", "problem"], str]


async def _kafka(settings: Settings) -> Answer:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        await admin.start()
        brokers = (await admin.describe_cluster())["brokers"]
    finally:
        await admin.close()
    if settings.replication_factor > len(brokers):
        wanted = f"AVERT_REPLICATION_FACTOR={settings.replication_factor}"
        return "problem", f"{len(brokers)} broker(s), but {wanted}"
    return "ok", f"{settings.kafka_bootstrap}: {len(brokers)} broker(s)"


async def _topics(settings: Settings) -> Answer:
    from streams.worker.topics import agreed_partitions, partition_counts, topic_names  # noqa: PLC0415  # its room

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        await admin.start()
        names = topic_names(settings)
        counts = await partition_counts(admin, names)
    finally:
        await admin.close()
    if not counts:
        return "warning", f"none yet; the first worker creates {len(names)} with {settings.partitions} partitions"
    partitions = agreed_partitions(counts, settings.partitions)
    missing = [name for name in names if name not in counts]
    note = f"; missing, to be created by the first worker: {', '.join(missing)}" if missing else ""
    return ("warning" if missing else "ok"), f"{len(counts)} with {partitions} partitions{note}"


async def _retention(settings: Settings) -> Answer:
    """Whether the topics keep what the settings say. Avert sets it when it creates them, and never again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, request_timeout_ms=int(TIMEOUT_S * 1000))
    wanted = topic_configurations(settings)
    try:
        await admin.start()
        there = set(await admin.list_topics()) & wanted.keys()
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(there)]
        answers = await admin.describe_configs(resources) if resources else []
    finally:
        await admin.close()
    found = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers for resource in answer.resources
    }
    differing = [
        f"{topic}: {name} is {found[topic][name]}, by the settings {value}"
        for topic, configuration in wanted.items() for name, value in configuration.items()
        if found.get(topic, {}).get(name, value) != value
    ]
    if differing:
        return "warning", "; ".join(differing) + ". What is there stays: change it with kafka-configs, or the settings"
    told = [topic for topic, configuration in wanted.items() if found.get(topic, {}).keys() >= configuration.keys()]
    if len(told) < len(there):
        return "warning", f"the broker says of {len(told)} of {len(there)} topics how long it keeps them"
    return "ok", f"{len(told)} topics keep what the settings say"


async def _redis(settings: Settings) -> Answer:
    client = redis.Redis.from_url(settings.redis_url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
    try:
        server = await client.info("server")
        memory = await client.info("memory")
    finally:
        await client.aclose()
    where = urlsplit(settings.redis_url)
    text = f"{where.hostname}:{where.port or 6379}: {server.get('server_name', 'redis')} {server.get('redis_version')}"
    if memory.get("maxmemory_policy", "noeviction") == "noeviction" and int(memory.get("maxmemory", 0)):
        return "warning", f"{text}; with maxmemory and noeviction writes fail when it is full: volatile-ttl suits"
    return "ok", text


async def _rules(settings: Settings) -> Answer:
    rules = load_rules(settings.rules_dir, engine_options(settings))
    return "ok", f"{settings.rules_dir}: {len(rules.rules)} rules, version {rules.version}"


async def _keys(settings: Settings) -> Answer:
    if settings.keys_file is None:
        return "warning", "AVERT_KEYS_FILE is not set: the API makes keys that go with its process"
    keys = load_keys(settings.keys_file)
    readable_by_others = settings.keys_file.stat().st_mode & 0o077
    if readable_by_others:
        return "warning", f"{settings.keys_file} can be read by others: chmod 600"
    secret: list[ServerKey | AdminKey] = [*keys.servers(), *keys.admins()]
    short = [key_name(key) for key in secret if len(key.key) < SECRET_CHARS_MIN]
    if short:
        return "warning", f"keys of less than {SECRET_CHARS_MIN} characters can be guessed: {', '.join(short)}"
    anywhere = sum(not key.revoked and not key.origins for key in keys.write_keys)
    if anywhere:
        return "warning", f"{anywhere} write keys name no origin: no page may use them, only programs"
    return "ok", f"{settings.keys_file}: {len(keys.write_keys)} write keys, {len(secret)} server and admin keys"


async def _visitor_ids(settings: Settings) -> Answer:
    if settings.visitor_ids != "capability":
        return "ok", "minted by the API; suggestions need a token"
    seen = await _recent_visitors(settings)
    guessable = [visitor for visitor in seen if looks_guessable(visitor)]
    if guessable:
        share = f"{len(guessable)} of the last {len(seen)}"
        return "problem", (
            f"AVERT_VISITOR_IDS=capability, and {share} visitor ids look guessable (numbers, addresses, too short):"
            " whoever guesses one reads its suggestions. Send UUIDs, or set it to minted"
        )
    looked = f"the last {len(seen)} look random" if seen else "none seen yet"
    return "warning", f"AVERT_VISITOR_IDS=capability: whoever knows an id reads its suggestions; {looked}"


async def _recent_visitors(settings: Settings) -> list[str]:
    """The keys of the newest events, each visitor once. None of them is told or kept."""
    topic = settings.topic("clickstream")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        await consumer.topics()  # asks the broker; what follows only looks it up
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        wanted = 0
        for partition in partitions:
            begin = max(first[partition], ends[partition] - _IDS_PER_PARTITION)
            consumer.seek(partition, begin)
            wanted += ends[partition] - begin
        visitors: dict[str, None] = {}
        while wanted > 0:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                wanted -= len(records)
                visitors.update({(record.key or b"").decode(errors="replace"): None for record in records})
        return list(visitors)
    finally:
        await consumer.stop()


def looks_guessable(visitor: str) -> bool:
    """Whether somebody who knows how such ids are made could find others: chance would have made another one.

    A random id of 64 bits, the least that nobody can try out over a network, has 11 characters of base 64, 16 of base
    16, and 20 digits. It has many different ones among them; a name, an address or a customer's number does not.
    """
    body = visitor.replace("-", "").replace("_", "")
    if "@" in visitor or " " in visitor or _WORD_AND_NUMBER.fullmatch(visitor):
        return True
    letters = {character.lower() for character in body if character.isalpha()}
    digits = sum(character.isdigit() for character in body)
    if digits == len(body):
        return digits < 20
    if not digits:  # words have none; of 22 random characters of base 64 one in forty has none
        return True
    least = 16 if letters <= set("abcdef") else 11
    return len(body) < least or len(set(body)) < 7


async def _exposure(settings: Settings) -> Answer:
    hosts = {"metrics": settings.metrics_host, "worker HTTP": settings.worker_http_host}
    public = [name for name, host in hosts.items() if not _is_loopback(host)]
    if public:
        return "warning", f"{' and '.join(public)} answer beyond this machine: keep them in a private network"
    return "ok", "metrics answer on this machine only"


def _is_loopback(host: str) -> bool:
    try:
        return all(info[4][0] in ("127.0.0.1", "::1") for info in socket.getaddrinfo(host, None))
    except OSError:
        return False


async def _core(_: Settings) -> Answer:
    if build() == "compiled":
        return "ok", "compiled"
    return "ok", "as it is written; compiled, it takes about half the time (docs/performance.md)"


QUESTIONS: dict[str, Callable[[Settings], Awaitable[Answer]]] = {
    "Kafka": _kafka,
    "topics": _topics,
    "retention": _retention,
    "Redis": _redis,
    "rules": _rules,
    "core": _core,
    "keys": _keys,
    "visitor ids": _visitor_ids,
    "exposure": _exposure,
}


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """All findings, and whether there is no problem among them."""
    return {"ok": all(finding.state != "problem" for finding in findings), "findings": msgspec.to_builtins(findings)}
