"""What is counted of journeys: a line for each funnel, version of it, and arm; its part of the fold of totals.py.

1. A `Journey` says which steps it has and which it was told to have before: the line loses the ones and gains the
   others. Every sum is therefore that of the journeys as they are known now.
2. Between a step and the one before it in the file: time and clicks, of the journeys that reached both in this order.
   `whole` is from the first step to the last.
3. Skipped is a step that was not reached while a later one was; in reverse, one that was reached after a later one.
4. Times and clicks are kept as a sum and a sum of squares (whole numbers, exact), and in buckets: four to every
   doubling, so that a median is known to an eighth.
5. Where journeys ended instead: counts of PLACES_MAX places a step, those of lowest rank: outcomes and `left`, then
   pages by a hash. Pages beyond are counted by their first part (``/help/…``), of which there are PARTS_MAX, the rest
   as `other`. The most frequent would be better to have, but which these are cannot be known in bounded room without
   depending on the order in which journeys end, and that differs from one life of a worker to the next. What is in by
   rank never was out before, so its count is exact, in any order and over any partitions (bottom-k of a random order;
   Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from streams.core.effects import Arm, Journey

PLACES_MAX = 32  # of a step; a whole site's pages are told apart where it has no more of them
PARTS_MAX = 16  # first parts of paths: what a site is made of
MORE = "/…"  # after a path: what lies below it
OTHER = "other"
LEFT = "left"  # nothing followed

_BETWEEN_BYTES = 256
_BUCKET_BYTES = 28
_COUNT_BYTES = 24  # of a place, beside its name
_CHARACTER_BYTES = 4  # in UTF-8 and JSON; places have no control characters
_MINOR = 2  # bits after the leading one that tell buckets apart


class Between(msgspec.Struct, array_like=True):
    """Times (ms) and clicks between two steps."""

    count: int = 0
    ms: int = 0
    ms_squares: int = 0
    clicks: int = 0
    clicks_squares: int = 0
    ms_buckets: dict[int, int] = {}
    clicks_buckets: dict[int, int] = {}

    def add(self, ms: int, clicks: int, sign: int) -> None:
        """Count one way; take it back with a `sign` of -1."""
        self.count += sign
        self.ms += sign * ms
        self.ms_squares += sign * ms * ms
        self.clicks += sign * clicks
        self.clicks_squares += sign * clicks * clicks
        for buckets, value in ((self.ms_buckets, ms), (self.clicks_buckets, clicks)):
            _count(buckets, bucket_of(value), sign)

    def absorb(self, other: Between) -> None:
        """Add another's."""
        self.count += other.count
        self.ms += other.ms
        self.ms_squares += other.ms_squares
        self.clicks += other.clicks
        self.clicks_squares += other.clicks_squares
        for mine, theirs in (
            (self.ms_buckets, other.ms_buckets), (self.clicks_buckets, other.clicks_buckets),
        ):  # fmt: skip
            for bucket, number in theirs.items():
                _count(mine, bucket, number)


class StepLine(msgspec.Struct, array_like=True):
    """One step of one line. `between`: from the step before. `instead`: where journeys that ended after it went."""

    reached: int = 0
    skipped: int = 0
    reverse: int = 0
    between: Between = msgspec.field(default_factory=Between)
    instead: dict[str, int] = {}


class FunnelLine(msgspec.Struct, omit_defaults=True, tag="funnel", tag_field="line"):
    """The journeys through one version of a funnel, in one arm. Times in ms."""

    funnel: str
    version: str
    arm: Arm
    number: int = 0
    entered: int = 0
    ended: int = 0
    completed: int = 0
    first_at: int = 0
    last_at: int = 0
    steps: list[StepLine] = []
    whole: Between = msgspec.field(default_factory=Between)


def funnel_key(line: FunnelLine | Journey) -> str:
    """The key of a journey's line."""
    return f"funnel/{line.funnel}/{line.version}/{line.arm}"


def bucket_of(value: int) -> int:
    """The bucket of a number of 0 and above: 0 to 3 have their own, then four to every doubling."""
    major = value.bit_length() - 1 - _MINOR
    return value if major < 0 else (major << _MINOR) + (value >> major)


def bucket_range(bucket: int) -> tuple[int, int]:
    """The least number of a bucket, and the least of the next."""
    major = (bucket >> _MINOR) - 1
    if major < 0:
        return bucket, bucket + 1
    low = (bucket - (major << _MINOR)) << major
    return low, low + (1 << major)


def count_journey(line: FunnelLine, journey: Journey) -> None:
    """Count what a journey tells."""
    while len(line.steps) < journey.size:
        line.steps.append(StepLine())
    _add(line, journey.before, journey.size, -1)
    _add(line, journey.steps, journey.size, 1)
    line.first_at = min(line.first_at or journey.at, journey.at)
    line.last_at = max(line.last_at, journey.at)
    if journey.ended:
        line.ended += 1
        if journey.size - 1 not in journey.steps[::3]:
            _count_place(line.steps[journey.steps[-3]].instead, journey.instead or LEFT, 1)


def _add(line: FunnelLine, steps: tuple[int, ...], size: int, sign: int) -> None:
    if not steps:
        return
    line.entered += sign
    order: dict[int, tuple[int, int, int]] = {}
    for place, (step, ms, clicks) in enumerate(_triples(steps)):
        order[step] = place, ms, clicks
    furthest = max(order)
    for step in range(furthest + 1):
        counted = line.steps[step]
        found = order.get(step)
        if found is None:
            counted.skipped += sign
            continue
        counted.reached += sign
        place, ms, clicks = found
        counted.reverse += sign * any(later > step and where[0] < place for later, where in order.items())
        before = order.get(step - 1)
        if before is not None and before[0] < place:
            counted.between.add(ms - before[1], clicks - before[2], sign)
    if furthest == size - 1:
        line.completed += sign
        line.whole.add(order[furthest][1], order[furthest][2], sign)


def _triples(steps: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    return zip(steps[::3], steps[1::3], steps[2::3], strict=True)


def _count(counts: dict[Any, int], name: Any, more: int) -> None:
    number = counts.get(name, 0) + more
    if number:
        counts[name] = number
    else:
        del counts[name]


def _count_place(places: dict[str, int], name: str, more: int) -> None:
    known = name in places
    places[name] = places.get(name, 0) + more
    if not known and len(places) > PLACES_MAX:
        _make_room(places, PLACES_MAX, [place for place in places if not place.endswith(MORE) and place != OTHER])
        _make_room(places, PARTS_MAX, [place for place in places if place.endswith(MORE)])


def _make_room(places: dict[str, int], most: int, names: list[str]) -> None:
    """Count those of `names` that are beyond `most` as what they belong to."""
    for name in sorted(names, key=_rank)[most:]:
        whole = OTHER if name.endswith(MORE) or not name.startswith("/") else "/" + name.split("/", 2)[1] + MORE
        places[whole] = places.get(whole, 0) + places.pop(name)


def _rank(place: str) -> tuple[bool, bytes]:
    return place.startswith("/"), blake2b(place.encode(), digest_size=8).digest()


def absorb_funnel(mine: FunnelLine, other: FunnelLine) -> None:
    """Add the same line of another partition."""
    mine.number += other.number
    mine.entered += other.entered
    mine.ended += other.ended
    mine.completed += other.completed
    firsts = [at for at in (mine.first_at, other.first_at) if at]
    mine.first_at, mine.last_at = min(firsts, default=0), max(mine.last_at, other.last_at)
    while len(mine.steps) < len(other.steps):
        mine.steps.append(StepLine())
    mine.whole.absorb(other.whole)
    for step, theirs in zip(mine.steps, other.steps, strict=False):
        step.reached += theirs.reached
        step.skipped += theirs.skipped
        step.reverse += theirs.reverse
        step.between.absorb(theirs.between)
        for name, number in theirs.instead.items():
            _count_place(step.instead, name, number)


def funnel_room(line: FunnelLine) -> int:
    """Upper bound of what the line's steps need when it is stored, bytes."""
    ways = [line.whole, *(step.between for step in line.steps)]
    buckets = sum(len(way.ms_buckets) + len(way.clicks_buckets) for way in ways)
    places = sum(_CHARACTER_BYTES * len(name) + _COUNT_BYTES for step in line.steps for name in step.instead)
    return (_BETWEEN_BYTES + 64) * len(ways) + _BUCKET_BYTES * buckets + places
