"""Schedules: days, hours, dates, in local time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.core.effects import Suppression
from streams.core.schedule import Schedule, is_open, local_ms
from tests.core.build import Log, compiled, rule, seen

HOUR_MS = 3_600_000
ROME = ((0, HOUR_MS), (1_743_296_400_000, 2 * HOUR_MS))  # 2025-03-30 01:00 UTC: summer time


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("when", "open_"), [("2026-11-22T23:59:59", False), ("2026-11-23T00:00:00", True), ("2026-11-28T00:00:00", False)]
)
def test_days(when, open_):
    assert is_open(Schedule("UTC", days=(0, 1, 2, 3, 4)), at(when)) is open_


@pytest.mark.parametrize(
    ("when", "open_"),
    [("08:59", False), ("09:00", True), ("09:01", True), ("17:59", True), ("18:00", False), ("18:01", False)],
)
def test_hours(when, open_):
    assert is_open(Schedule("UTC", hours=((9 * 60, 18 * 60),)), at(f"2026-11-23T{when}")) is open_


@pytest.mark.parametrize(
    ("when", "open_"),
    [
        ("2026-11-27T21:59", False),  # Friday
        ("2026-11-27T22:00", True),
        ("2026-11-28T05:59", True),  # Saturday morning belongs to Friday's night
        ("2026-11-28T06:00", False),
        ("2026-11-28T22:00", False),
        ("2026-11-27T05:00", False),  # and Friday's morning to Thursday's
    ],
)
def test_hours_past_midnight_belong_to_the_day_on_which_they_begin(when, open_):
    assert is_open(Schedule("UTC", days=(4,), hours=((22 * 60, 6 * 60),)), at(when)) is open_


@pytest.mark.parametrize(
    ("when", "open_"),
    [
        ("2026-11-26T23:59", False),
        ("2026-11-27T00:00", True),
        ("2026-12-24T23:59", True),
        ("2026-12-25T00:00", False),
    ],
)
def test_both_dates_belong_to_it(when, open_):
    first, last = at("2026-11-27T00:00") // 86_400_000, at("2026-12-24T00:00") // 86_400_000
    assert is_open(Schedule("UTC", first_day=first, last_day=last), at(when)) is open_


@pytest.mark.parametrize(
    ("when", "local"), [("2025-03-30T00:59", "01:59"), ("2025-03-30T01:00", "03:00"), ("2025-03-30T01:01", "03:01")]
)
def test_local_time_changes_with_the_zone(when, local):
    assert local_ms(Schedule("Europe/Rome", offsets=ROME), at(when)) == at(f"2025-03-30T{local}")


def test_before_its_history_the_zones_first_offset_holds():
    assert local_ms(Schedule("x", offsets=((1000, 5),)), 10) == 15


def test_a_firing_outside_is_suppressed_and_does_not_count():
    closed = rule(seen("a"), schedule=Schedule("UTC", first_day=99_999))
    log = Log(compiled(closed)).add(0, "a")
    assert [decision.reason for decision in log.decisions] == [Suppression.OFF_SCHEDULE]
    assert log.state.history == {}
    assert log.state.exposures == []


def test_the_schedule_is_asked_at_the_firings_time():
    day = (1_700_000_000_000 + 3_600_000) // 86_400_000
    open_ = rule(seen("a"), schedule=Schedule("UTC", first_day=day, last_day=day))
    assert [decision.kind for decision in Log(compiled(open_)).add(0, "a").decisions] == ["suggested"]
