"""Which rules a worker puts into force: laws 1 to 6 of reload.py, against a topic in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.ruleset import EngineOptions, Ruleset
from streams.errors import BrokerUnavailableError, RuleFileError
from streams.rulefiles.load import compile_files
from streams.rulefiles.watch import Snapshot, take
from streams.settings import Settings
from streams.telemetry import RULES_BROKEN, RULES_DIRECTORY_DIFFERS, RULES_INFO, RULES_RELOADS
from streams.worker import reload as reload_module
from streams.worker.reload import Rules
from streams.worker.reload_topic import Publication, publication_of
from tests.support.waiting import until

OUTCOMES = "currency: EUR\noutcomes:\n  chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 5}\n"
RULE = "rule: r\nprevents: chat\nwhen: {{event: search}}\nsuggest: {{placement: p, title: {title}}}\n"
BROKEN = RULE.format(title="T").replace("chat", "chta")
OPTIONS = EngineOptions()


class Topic:
    """The topic `rules` in memory; `down` makes publishing fail."""

    def __init__(self) -> None:
        self.records: list[Publication] = []
        self.down = False
        self.came = asyncio.Event()

    def append(self, publication: Publication) -> None:
        self.records.append(publication)
        self.came.set()

    @property
    def digests(self) -> list[str]:
        return [record.digest for record in self.records]


class Reader:
    """One worker's side of it."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._position = 0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def current(self) -> Publication | None:
        self._position = len(self._topic.records)
        return self._topic.records[-1] if self._topic.records else None

    async def next(self) -> Publication:
        while self._position == len(self._topic.records):
            self._topic.came.clear()
            await self._topic.came.wait()
        self._position += 1
        return self._topic.records[self._position - 1]

    async def publish(self, publication: Publication) -> None:
        if self._topic.down:
            raise BrokerUnavailableError("down")
        self._topic.append(publication)


class Worker:
    """A directory, and the rules that come into force."""

    def __init__(self, topic: Topic, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        monkeypatch.setattr(reload_module, "RulesTopic", lambda settings: Reader(topic))
        self.used: list[Ruleset] = []
        self.looks = 0  # at the directory
        self.rules = Rules(Settings(rules_dir=directory, rules_poll_ms=1), OPTIONS, self.used.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        await self.rules.start()
        look = self.rules._watcher.look

        def counted() -> Snapshot | None:
            self.looks += 1
            return look()

        self.rules._watcher.look = counted
        tasks = [asyncio.create_task(self.rules.watch()), asyncio.create_task(self.rules.follow())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self.rules.close()
            assert [type(error) for error in ended] == [asyncio.CancelledError] * 2

    @property
    def title(self) -> str:
        """The title of the rule in force."""
        assert self.rules.ruleset is not None
        return self.rules.ruleset.rules[0].definition.suggest.title[0][1]

    async def looked(self) -> None:
        """What lies in the directory has been seen and dealt with: it is looked at again."""
        digest = take(self.directory).digest
        watcher = self.rules._watcher
        await until(lambda: watcher.last and watcher.last.digest == digest)
        seen = self.looks
        await until(lambda: self.looks > seen)


def write(directory: Path, title: str = "One", *, text: str | None = None) -> str:
    """Rules with that title (or that text); returns their digest."""
    directory.mkdir(exist_ok=True)
    (directory / "outcomes.yaml").write_text(OUTCOMES)
    (directory / "r.yaml").write_text(RULE.format(title=title) if text is None else text)
    return take(directory).digest


def published(tmp_path: Path, title: str) -> Publication:
    write(tmp_path / "elsewhere", title)
    snapshot = take(tmp_path / "elsewhere")
    return publication_of(snapshot, compile_files(snapshot.files, tmp_path, OPTIONS).version, 1)


def metric(metric: Any, *labels: str) -> float:
    return (metric.labels(*labels) if labels else metric)._value.get()


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def worker(topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(topic, tmp_path / "rules", monkeypatch)


async def test_on_an_empty_topic_the_first_one_publishes_what_it_has(topic: Topic, worker: Worker) -> None:
    digest = write(worker.directory)
    async with worker.running():
        assert topic.digests == [digest]
        assert topic.records[0].contents() == take(worker.directory).files
        assert worker.title == "One"
    assert len(worker.used) == 1  # its own publication is no news


async def test_what_the_topic_says_counts_at_a_start(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    topic.append(published(tmp_path, "Theirs"))
    write(worker.directory, "Old checkout")
    async with worker.running():
        assert worker.title == "Theirs"
        assert len(topic.records) == 1
        assert metric(RULES_DIRECTORY_DIFFERS) == 1


async def test_a_change_is_published_and_comes_into_force_through_the_topic(topic: Topic, worker: Worker) -> None:
    write(worker.directory)
    async with worker.running():
        digest = write(worker.directory, "Two")
        await until(lambda: worker.title == "Two")
        assert topic.digests[1:] == [digest]
        assert topic.records[-1].version == worker.rules.ruleset.version
        assert metric(RULES_DIRECTORY_DIFFERS) == 0
    assert [rules.rules[0].definition.suggest.title[0][1] for rules in worker.used] == ["One", "Two"]


async def test_a_change_of_an_old_checkout_is_a_change(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    """The newest publication wins, wherever it comes from."""
    topic.append(published(tmp_path, "Theirs"))
    write(worker.directory, "Old checkout")
    async with worker.running():
        write(worker.directory, "Edited here")
        await until(lambda: worker.title == "Edited here")


async def test_what_others_publish_comes_into_force(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    write(worker.directory)
    async with worker.running():
        topic.append(published(tmp_path, "Theirs"))
        await until(lambda: worker.title == "Theirs")
        await until(lambda: metric(RULES_DIRECTORY_DIFFERS) == 1)
        write(worker.directory, "Theirs")  # the checkout arrives here too: no news
        await worker.looked()
        assert len(topic.records) == 2
        await until(lambda: metric(RULES_DIRECTORY_DIFFERS) == 0)


async def test_a_slow_checkout_rolls_nobody_back(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    write(worker.directory)
    async with worker.running():
        for title in ("Two", "Three"):
            topic.append(published(tmp_path, title))
            await until(lambda title=title: worker.title == title)
        write(worker.directory, "Two")
        await worker.looked()
        write(worker.directory, "Three")
        await worker.looked()
        assert worker.title == "Three"
        assert len(topic.records) == 3


async def test_going_back_on_purpose_is_a_change(topic: Topic, worker: Worker) -> None:
    write(worker.directory)
    async with worker.running():
        for title in ("Two", "One"):
            write(worker.directory, title)
            await until(lambda title=title: worker.title == title)
        assert len(topic.records) == 3
        assert topic.digests[0] == topic.digests[2]


async def test_what_is_broken_replaces_nothing(topic: Topic, worker: Worker) -> None:
    write(worker.directory)
    before = metric(RULES_RELOADS, "broken")
    async with worker.running():
        version = worker.rules.ruleset.version
        write(worker.directory, text=BROKEN)
        await until(lambda: metric(RULES_RELOADS, "broken") == before + 1)
        assert metric(RULES_BROKEN, "directory") == 1
        assert metric(RULES_DIRECTORY_DIFFERS) == 1
        assert (worker.title, len(topic.records)) == ("One", 1)
        assert metric(RULES_INFO, version) == 1
        write(worker.directory, "One")  # mended, to what it was
        await until(lambda: metric(RULES_BROKEN, "directory") == 0)
        assert len(worker.used) == 1


async def test_a_defect_of_the_loader_costs_no_rules(
    topic: Topic, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(worker.directory)
    async with worker.running():
        monkeypatch.setattr(reload_module, "compile_files", lambda *_: 1 / 0)
        write(worker.directory, "Two")
        await until(lambda: metric(RULES_BROKEN, "directory") == 1)
        assert worker.title == "One"


async def test_a_publication_that_this_program_cannot_use(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    write(worker.directory)
    unusable = msgspec.structs.replace(published(tmp_path, "X"), digest="x", files={"r.yaml": "of an Avert to come"})
    async with worker.running():
        topic.append(unusable)
        await until(lambda: metric(RULES_BROKEN, "topic") == 1)
        assert worker.title == "One"
        topic.append(published(tmp_path, "Two"))
        await until(lambda: worker.title == "Two")
        assert metric(RULES_BROKEN, "topic") == 0


async def test_a_start_on_an_unusable_publication_takes_the_directory(
    topic: Topic, worker: Worker, tmp_path: Path
) -> None:
    topic.append(msgspec.structs.replace(published(tmp_path, "X"), digest="x", files={"r.yaml": "of an Avert to come"}))
    write(worker.directory)
    async with worker.running():
        assert worker.title == "One"
        assert metric(RULES_BROKEN, "topic") == 1
        assert len(topic.records) == 1


async def test_a_start_with_a_broken_directory_lives_on_what_the_topic_says(
    topic: Topic, worker: Worker, tmp_path: Path
) -> None:
    topic.append(published(tmp_path, "Theirs"))
    write(worker.directory, text=BROKEN)
    async with worker.running():
        assert worker.title == "Theirs"


async def test_a_start_with_neither_ends(topic: Topic, worker: Worker) -> None:
    write(worker.directory, text=BROKEN)
    with pytest.raises(RuleFileError, match=r"rules/r\.yaml:2:11: .*chta"):
        await worker.rules.start()


async def test_a_start_without_a_directory(topic: Topic, worker: Worker, tmp_path: Path) -> None:
    worker.directory.rmdir()
    with pytest.raises(RuleFileError, match="no such directory"):
        await worker.rules.start()
    topic.append(published(tmp_path, "Theirs"))
    async with worker.running():
        assert worker.title == "Theirs"


async def test_while_the_broker_is_down_a_change_waits(topic: Topic, worker: Worker) -> None:
    write(worker.directory)
    async with worker.running():
        topic.down = True
        before = metric(RULES_RELOADS, "unpublished")
        write(worker.directory, "Two")
        await until(lambda: metric(RULES_RELOADS, "unpublished") > before)
        assert worker.title == "One"
        topic.down = False
        await until(lambda: worker.title == "Two")


async def test_a_version_that_went_is_shown_no_more(worker: Worker) -> None:
    write(worker.directory)
    async with worker.running():
        write(worker.directory, "Two")
        await until(lambda: worker.title == "Two")
        shown = {sample.labels["version"] for family in RULES_INFO.collect() for sample in family.samples}
        assert worker.used[1].version in shown
        assert worker.used[0].version not in shown
