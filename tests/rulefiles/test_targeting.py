"""Time zones, days, hours and dates as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from streams.core.schedule import Schedule, local_ms
from streams.rulefiles.load import load_rules
from streams.rulefiles.zones import zone_names, zone_offsets
from tests.rulefiles.broken_cases import OPTIONS, write_files

RULE = "rule: r\nprevents: support_chat\nwhen: {event: search}\nsuggest: {placement: p, title: Hello}\n"


def schedule_of(tmp_path: Path, text: str) -> Schedule:
    (rule,) = load_rules(write_files(tmp_path, r=RULE + f"schedule: {text}\n"), OPTIONS).rules
    assert rule.definition.schedule is not None
    return rule.definition.schedule


def test_what_is_written(tmp_path: Path) -> None:
    found = schedule_of(
        tmp_path, "{zone: UTC, days: [mon-wed, sat], hours: [09:00-12:30, 22:00-02:00], from: 1970-01-11}"
    )
    assert (found.days, found.hours, found.first_day) == ((0, 1, 2, 5), ((540, 750), (1320, 120)), 10)
    assert found.offsets == ((946_684_800_000, 0),)


def test_a_range_of_days_may_pass_the_weeks_end(tmp_path: Path) -> None:
    assert schedule_of(tmp_path, "{zone: UTC, days: fri-mon, until: 2026-12-24}").days == (0, 4, 5, 6)


def _edition_of_the_package(name: str) -> ZoneInfo:
    """Not the machine's: the two differ now and then."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


@pytest.mark.parametrize("name", ["Europe/Rome", "America/St_Johns", "Africa/Casablanca", "Asia/Kathmandu", "UTC"])
def test_the_table_says_what_the_zone_says(name: str) -> None:
    zone, schedule = _edition_of_the_package(name), Schedule(name, offsets=zone_offsets(name) or ())
    at = datetime(2000, 1, 1, tzinfo=UTC)
    while at < datetime(2037, 1, 1, tzinfo=UTC):
        ms = round(at.timestamp() * 1000)
        offset = at.astimezone(zone).utcoffset() or timedelta()
        assert local_ms(schedule, ms) - ms == offset / timedelta(milliseconds=1), at
        at += timedelta(hours=61)


def test_a_change_is_known_to_the_second() -> None:
    offsets = dict(zone_offsets("Europe/Rome") or ())
    assert offsets[1_743_296_400_000] == 7_200_000  # 2025-03-30 01:00:00 UTC


def test_names_that_are_none() -> None:
    assert zone_offsets("Europe/Atlantis") is None
    assert zone_offsets("../../etc/passwd") is None
    assert "Europe/Rome" in zone_names()


def test_on_edit_and_audience_reach_the_definition(tmp_path: Path) -> None:
    text = RULE + "on_edit: restart\naudience: {session: {device: mobile}, visitors: 20%}\n"
    (rule,) = load_rules(write_files(tmp_path, r=text), OPTIONS).rules
    assert rule.definition.restart_on_edit
    assert rule.definition.audience is not None
    assert rule.definition.audience.visitors == 0.2


def test_a_variant_takes_over_what_it_leaves_out(tmp_path: Path) -> None:
    text = RULE.replace(
        "title: Hello", "title: Hello, body: Hi, variants: [{variant: a}, {variant: b, weight: 3, title: Yo}]"
    )
    (rule,) = load_rules(write_files(tmp_path, r=text), OPTIONS).rules
    found = [(one.name, one.weight, one.title, one.body) for one in rule.definition.suggest.variants]
    hi = (("en", "Hi"),)
    assert found == [("a", 1.0, (("en", "Hello"),), hi), ("b", 3.0, (("en", "Yo"),), hi)]
