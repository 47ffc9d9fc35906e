"""How many matches are right: each job's definition read off each visitor's whole history, with no incremental state.

Written to be obviously right, not fast, and shares nothing with the engine or with the peers but the jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from bench._workload import SESSION_TIMEOUT_MS, Job, Pattern, Record


class Seen(NamedTuple):
    """One event of a visitor, in the order of the log."""

    at: int
    type: str
    props: dict[str, Any]


Visit = list[Seen]


class _Event(msgspec.Struct):
    type: str
    ts: int
    props: dict[str, Any]


_decode = msgspec.json.Decoder(_Event).decode


def expected_matches(records: Iterable[Record], wanted: tuple[Job, ...]) -> Counter[str]:
    """Matches by job."""
    histories: dict[str, Visit] = {}
    for record in records:
        event = msgspec.json.decode(record.value)
        histories.setdefault(record.visitor, []).append(Seen(event["ts"], event["type"], event["props"]))
    found: Counter[str] = Counter()
    for history in histories.values():
        for visit in _visits(history):
            for job in wanted:
                found[job.name] += len(_MATCHES[job.kind](visit, job))
    return found


def expected_moments(records: Iterable[Record], wanted: tuple[Job, ...]) -> dict[str, set[tuple[str, int]]]:
    """Every match of each job: whose, and when (ms): of an event, or of a deadline. No visitor has two at one time."""
    raw: dict[str, list[bytes]] = {}
    for record in records:
        raw.setdefault(record.visitor, []).append(record.value)
    found: dict[str, set[tuple[str, int]]] = {job.name: set() for job in wanted}
    for visitor, values in raw.items():
        events = map(_decode, values)
        for visit in _visits([Seen(event.ts, event.type, event.props) for event in events]):
            for job in wanted:
                found[job.name].update((visitor, at) for at in _MATCHES[job.kind](visit, job))
    return found


def _visits(history: Visit) -> list[Visit]:
    visits = [[history[0]]]
    for before, event in pairwise(history):
        if event.at - before.at >= SESSION_TIMEOUT_MS:
            visits.append([])
        visits[-1].append(event)
    return visits


def _times(visit: Visit, pattern: Pattern) -> list[int]:
    return [event.at for event in visit if pattern.matches(event.type, event.props)]


def _count(visit: Visit, job: Job) -> list[int]:
    """One for each event that brings the number within the window from below `at_least` to it."""
    times = _times(visit, job.patterns[0])
    before = [sum(earlier > at - job.within_ms for earlier in times[:index]) for index, at in enumerate(times)]
    return [at for at, number in zip(times, before, strict=True) if number < job.at_least <= number + 1]


def _guarded(visit: Visit, job: Job) -> list[int]:
    """A count, up to the first event that must never be."""
    cut = next((i for i, event in enumerate(visit) if job.patterns[1].matches(event.type, event.props)), len(visit))
    return _count(visit[:cut], job)


def _missing(visit: Visit, job: Job) -> list[int]:
    """One for each moment at which a start event is `within_ms` old and nothing ended its clock before."""
    ends = _times(visit, job.patterns[1])
    starts = set(_times(visit, job.patterns[0]))
    lonely = (start for start in starts if not any(start <= end < start + job.within_ms for end in ends))
    return [start + job.within_ms for start in lonely]


def _sequence(visit: Visit, job: Job) -> list[int]:
    """One for each last step that has the others before it; what a match used, and all before that, is used up."""
    first, second, third = job.patterns
    firsts: list[int] = []  # positions in the visit
    seconds: list[int] = []
    matches: list[int] = []
    for position, event in enumerate(visit):
        if third.matches(event.type, event.props) and seconds:
            middle = seconds[-1]
            start = max((p for p in firsts if p < middle), default=None)
            if start is not None and event.at - visit[start].at < job.within_ms:
                matches.append(event.at)
                firsts = [p for p in firsts if p > start]
                seconds = []
                continue
        if first.matches(event.type, event.props):
            firsts.append(position)
        if second.matches(event.type, event.props):
            seconds.append(position)
    return matches


_MATCHES: dict[str, Callable[[Visit, Job], list[int]]] = {
    "count": _count,
    "guarded": _guarded,
    "missing": _missing,
    "sequence": _sequence,
}
