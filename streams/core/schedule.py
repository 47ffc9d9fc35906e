"""When a rule may suggest: days, hours and dates in a zone's local time, without a time zone database.

The core reads no files, so whoever loads the rules writes the zone's offsets into the schedule: since when which one
is in force. That makes a schedule a plain value: the same ruleset decides the same on every machine, and another
edition of the time zone database is another version of the ruleset.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

MINUTE_MS = 60_000
DAY_MS = 86_400_000
_THURSDAY = 3  # 1970-01-01; Monday is 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days, hours and dates, all of which must fit. Empty or None: any.

    `days`: 0 is Monday; `hours`: (from, until) in minutes of the local day, past midnight when `until` is not after
    `from`, and then of the day on which they begin; `first_day`, `last_day`: days since 1970-01-01, both included;
    `offsets`: (since when, ms since the epoch; local time minus UTC, ms), ascending: the first holds before it, too.
    """

    zone: str
    days: tuple[int, ...] = ()
    hours: tuple[tuple[int, int], ...] = ()
    first_day: int | None = None
    last_day: int | None = None
    offsets: tuple[tuple[int, int], ...] = ()


def local_ms(schedule: Schedule, at: int) -> int:
    """What the clocks of the zone show at `at`, as ms since 1970-01-01 00:00 on them."""
    if not schedule.offsets:
        return at
    index = bisect_right(schedule.offsets, at, key=lambda offset: offset[0]) - 1
    return at + schedule.offsets[max(index, 0)][1]


def is_open(schedule: Schedule, at: int) -> bool:
    """Whether `at`, ms since the epoch, lies in the schedule."""
    day, in_day = divmod(local_ms(schedule, at), DAY_MS)
    if not schedule.hours:
        return _day_fits(schedule, day)
    minute = in_day // MINUTE_MS
    for start, until in schedule.hours:
        if start < until:
            if start <= minute < until and _day_fits(schedule, day):
                return True
        elif (minute >= start and _day_fits(schedule, day)) or (minute < until and _day_fits(schedule, day - 1)):
            return True
    return False


def _day_fits(schedule: Schedule, day: int) -> bool:
    if schedule.first_day is not None and day < schedule.first_day:
        return False
    if schedule.last_day is not None and day > schedule.last_day:
        return False
    return not schedule.days or (day + _THURSDAY) % 7 in schedule.days
