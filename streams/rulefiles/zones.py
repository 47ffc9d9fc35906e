"""A time zone's name -> its offsets, for the core, which reads no files.

The history comes from the package tzdata, not from the machine: workers of one version decide alike, whatever their
operating systems think of daylight saving.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

FROM = datetime(2000, 1, 1, tzinfo=UTC)  # recordings are younger than this
UNTIL = datetime(2060, 1, 1, tzinfo=UTC)  # and so are the rules
_STRIDE = timedelta(days=7)  # no zone has changed twice within a week
_SECOND = timedelta(seconds=1)
_DAY_MS = 86_400_000

Offsets = tuple[tuple[int, int], ...]  # as `zone_offsets` gives them


def zone_names() -> list[str]:
    """The names that may be written."""
    return sorted(available_timezones())


@cache
def zone_offsets(name: str) -> Offsets | None:
    """(since when, ms; local minus UTC, ms) for every change from 2000 to 2060; None when there is no such zone."""
    zone = _zone(name)
    if zone is None:
        return None
    return tuple((round(at.timestamp() * 1000), offset // timedelta(milliseconds=1)) for at, offset in _changes(zone))


def midnight(day: int, offsets: Offsets) -> int:
    """When (ms since the epoch) the day (since 1970-01-01) begins by these clocks; the first of two midnights."""
    local = day * _DAY_MS
    found = local - offsets[0][1]
    for since, offset in offsets[1:]:
        if since > found:
            break
        # Put forward over midnight, the day begins with the change itself.
        found = max(local - offset, since)
    return found


def _zone(name: str) -> ZoneInfo | None:
    parts = name.split("/")
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError, ModuleNotFoundError):
        pass
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _changes(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    at, known = FROM, _offset(zone, FROM)
    yield at, known
    while at < UNTIL:
        following = at + _STRIDE
        found = _offset(zone, following)
        if found != known:
            before, after = at, following
            while after - before > _SECOND:
                middle = before + (after - before) // 2
                middle = middle.replace(microsecond=0)
                if middle <= before:
                    break
                before, after = (middle, after) if _offset(zone, middle) == known else (before, middle)
            yield after, found
            known = found
        at = following
