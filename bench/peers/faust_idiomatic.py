"""The benchmark's twenty rules as a user of Faust would write them: a `Record`, a table, one write an event.

Run as a program: ``python -m bench.peers.faust_idiomatic BROKER TOPIC APP_ID PARTITIONS RULES``. Prints the time of its
first event (CLOCK_MONOTONIC, seconds) to stdout. What is found goes to the topic APP_ID-matches, one record a match. An
absence is looked for at the visitor's next event, as is usual; Faust has no timers of a key.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import faust

from bench._workload import SESSION_TIMEOUT_MS, Job, jobs
from bench.peers._faust import make_app


class Click(faust.Record, serializer="json"):
    """One event."""

    id: str
    visitor: str
    type: str
    ts: int
    received: int
    page: dict[str, Any]
    props: dict[str, Any]
    context: dict[str, Any]


class Match(faust.Record, serializer="json"):
    """A rule has found something."""

    visitor: str
    rule: str
    at: int
    trigger: str


def look(
    state: dict[str, Any], click: Click, by_type: dict[str, list[tuple[Job, int]]], absences: list[Job]
) -> list[tuple[str, int]]:
    """Update the visitor's state with one event; what was found: (rule, when)."""
    found: list[tuple[str, int]] = []
    at = click.ts
    for job in absences:  # deadlines that have passed since the visitor's last event
        waiting = state.get(job.name)
        if waiting:
            due = [start for start in waiting if start + job.within_ms <= at]
            if due:
                found.extend((job.name, start + job.within_ms) for start in sorted(set(due)))
                state[job.name] = waiting[len(due) :]
    if at - state["last"] >= SESSION_TIMEOUT_MS:
        state.clear()
    state["last"] = at
    for job, position in by_type.get(click.type, ()):
        if job.patterns[position].matches(click.type, click.props) and _HANDLERS[job.kind](state, job, position, at):
            found.append((job.name, at))
    return found


def _count(state: dict[str, Any], job: Job, position: int, at: int) -> bool:
    if position == 1:  # the event that must never be
        state[job.name + "!"] = True
        return False
    times = [time_ for time_ in state.get(job.name, ()) if time_ > at - job.within_ms]
    state[job.name] = [*times, at]
    return len(times) + 1 == job.at_least and not state.get(job.name + "!")


def _missing(state: dict[str, Any], job: Job, position: int, at: int) -> bool:
    if position == 1:
        state.pop(job.name, None)
    else:
        state[job.name] = [*state.get(job.name, ()), at]
    return False


def _sequence(state: dict[str, Any], job: Job, position: int, at: int) -> bool:
    seen = state.get(job.name, [[], []])  # starts; (second step, its latest start)
    starts, middles = ([*part] for part in seen)
    matched = False
    if position == 0:
        starts.append(at)
    elif position == 1 and starts:
        middles = [[at, len(starts)]]
    elif position == 2 and middles:
        before = middles[0][1]
        if at - starts[before - 1] < job.within_ms:
            matched, starts, middles = True, starts[before:], []
    state[job.name] = [starts[-24:], middles] if len(starts) <= 24 else [starts, middles]
    return matched


_HANDLERS = {"count": _count, "guarded": _count, "missing": _missing, "sequence": _sequence}


def main(broker: str, topic: str, app_id: str, partitions: int, rules: int) -> None:
    """Run until SIGTERM."""
    app = make_app(app_id, broker, partitions, topic_allow_declare=True)
    clicks = app.topic(topic, value_type=Click)
    matches = app.topic(f"{app_id}-matches", value_type=Match, partitions=partitions)
    table = app.Table("visitors", default=dict, partitions=partitions)
    wanted = jobs(rules)
    by_type: dict[str, list[tuple[Job, int]]] = {}
    for job in wanted:
        for position, pattern in enumerate(job.patterns):
            by_type.setdefault(pattern.type, []).append((job, position))
    absences = [job for job in wanted if job.kind == "missing"]

    @app.agent(clicks)
    async def watch(stream: Any) -> None:
        first = True
        async for click in stream:
            if first:
                sys.stdout.write(f"first {time.monotonic()}\n")
                sys.stdout.flush()
                first = False
            state = table[click.visitor]
            state.setdefault("last", click.ts)
            for rule, at in look(state, click, by_type, absences):
                await matches.send(
                    key=click.visitor, value=Match(visitor=click.visitor, rule=rule, at=at, trigger=click.id)
                )
            table[click.visitor] = state

    app.finalize()
    faust.Worker(app, loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
