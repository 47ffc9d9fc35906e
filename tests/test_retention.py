"""How long each topic keeps what: said for every topic, by the settings, and compared by doctor."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from streams.core.consent import MEASUREMENT_NAMES, PURPOSES, Permit
from streams.core.session import Visitor
from streams.doctor import examine
from streams.embedded.kafka import KafkaNode
from streams.retention import COMPACTION_LAG_MS_MIN, KEPT_BY_TIME, changelog_name, topic_configurations
from streams.settings import Settings
from streams.worker.topics import connect_admin, ensure_topics, topic_names
from tests.worker.support import test_settings

PAGE = (Path(__file__).parents[1] / "docs" / "privacy.md").read_text()
DAY_MS = 86_400_000


def table(name: str) -> list[list[str]]:
    """The rows of one of the page's tested tables."""
    block = PAGE.split(f"<!-- {name}: tested -->")[1].split("<!-- end -->")[0]
    lines = [line for line in block.strip().splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_topic_of_the_worker_has_its_configuration() -> None:
    settings = Settings(topic_prefix="shop.")
    assert set(topic_configurations(settings)) == set(topic_names(settings))


@pytest.mark.parametrize(("topic", "setting"), KEPT_BY_TIME.items())
def test_a_topic_keeps_as_long_as_its_setting_says(topic: str, setting: str) -> None:
    configured = topic_configurations(msgspec.structs.replace(Settings(), **{setting: 3 * DAY_MS}))[topic]
    assert (configured["retention.ms"], configured["segment.ms"]) == (str(3 * DAY_MS), str(DAY_MS))


@pytest.mark.parametrize(("kept_ms", "closed_ms"), [(-1, DAY_MS), (3_600_000, 3_600_000), (1_000, 600_000)])
def test_files_are_closed_within_the_time_but_not_by_the_thousand(kept_ms: int, closed_ms: int) -> None:
    configured = topic_configurations(Settings(clickstream_retention_ms=kept_ms))["clickstream"]
    assert configured["segment.ms"] == str(closed_ms)


def test_what_was_erased_goes_from_the_changelog_but_not_before_a_zombies_time() -> None:
    def lag(erased_ms: int) -> tuple[str, str]:
        settings = Settings(changelog_erased_ms=erased_ms)
        configured = topic_configurations(settings)[changelog_name(settings)]
        return configured["min.compaction.lag.ms"], configured["max.compaction.lag.ms"]

    assert lag(DAY_MS) == (str(COMPACTION_LAG_MS_MIN), str(DAY_MS))
    assert lag(1) == (str(COMPACTION_LAG_MS_MIN), str(COMPACTION_LAG_MS_MIN))


@pytest.mark.kafka
async def test_topics_are_created_so_and_doctor_compares(apache_kafka: KafkaNode, unique: str) -> None:
    settings = test_settings(apache_kafka.address, unique)
    admin = await connect_admin(settings, asyncio.Event())
    try:
        await ensure_topics(admin, settings)
    finally:
        await admin.close()

    async def said(settings: Settings) -> tuple[str, str]:
        return next((found.state, found.text) for found in await examine(settings) if found.subject == "retention")

    assert (await said(settings))[0] == "ok", await said(settings)
    state, text = await said(msgspec.structs.replace(settings, outcomes_retention_ms=DAY_MS))
    assert state == "warning"
    assert f"{unique}-outcomes: retention.ms is 7776000000, by the settings {DAY_MS}" in text


# --- docs/privacy.md


def test_the_page_names_every_topic_with_its_setting_and_its_default() -> None:
    said = {row[0]: row[3] for row in table("places")}
    for topic, setting in KEPT_BY_TIME.items():
        days = getattr(Settings(), setting) // DAY_MS
        assert said[f"Kafka `{topic}`"] == f"`AVERT_{setting.upper()}` ({days} days)"
    assert "`AVERT_CHANGELOG_ERASED_MS` (1 day)" in said["Kafka `<app_id>-sessions-changelog`"]
    named = {name for place in said for name in re.findall(r"`([^`]+)`", place)}
    assert {name.replace(Settings().app_id, "<app_id>") for name in topic_names(Settings())} <= named


def test_the_page_names_every_setting_that_there_is() -> None:
    known = {f"AVERT_{name.upper()}" for name in Settings.__struct_fields__}
    assert set(re.findall(r"AVERT_[A-Z_]+", PAGE)) <= known


def test_the_page_names_every_field_of_a_visitors_row() -> None:
    named = {name for row in table("row") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(Visitor.__slots__)


def test_the_page_says_what_each_purpose_permits() -> None:
    said = {row[0].strip("`"): [cell == "yes" for cell in row[1:5]] for row in table("purposes")}
    columns = (Permit.LOG, Permit.STATE, Permit.SHOW, Permit.COUNT)
    assert said == {name: [bool(permits & column) for column in columns] for name, permits in PURPOSES.items()}
    assert all(f"`{name}`" in PAGE for name in MEASUREMENT_NAMES)
