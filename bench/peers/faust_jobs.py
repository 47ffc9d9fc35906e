"""The three jobs as a user of Faust would write them: a `Record`, a table, a write only where state changes.

``python -m bench.peers.faust_jobs BROKER TOPIC APP OUT JOB PARTITIONS COMMIT_S``. Faust has no timers of a key: an
absence is looked for at the visitor's next event. Prints the time of the first event (seconds since the epoch).
"""

from __future__ import annotations

import sys
import time
from typing import Any

import faust

from bench.peers._faust import make_app
from bench.peers._jobs import ABSENCE_MS, END, JOBS, START, absence_role, overdue


class Click(faust.Record, serializer="json"):
    """One event, as far as the jobs need it."""

    visitor: str
    type: str
    ts: int
    props: dict[str, Any]


class Match(faust.Record, serializer="json"):
    """A job has found something."""

    visitor: str
    at: int


def _absence(table: Any, click: Click) -> list[int]:
    pending: list[int] = table.get(click.visitor) or []
    due, role = overdue(pending, click.ts), absence_role(click.type)
    left = [] if role == END else pending[len(due) :]
    if role == START:
        left = [*left, click.ts]
    if left != pending:
        table[click.visitor] = left
    return [start + ABSENCE_MS for start in due]


def _look(table: Any, click: Click, job_name: str) -> list[int]:
    job = JOBS[job_name]
    role = job.role(click.type, click.props)
    if role is None:
        return []
    step = job.step(table.get(click.visitor), role, click.ts)
    if step.state is not None:
        table[click.visitor] = step.state
    return [] if step.match_at is None else [step.match_at]


def main(broker: str, topic: str, app_id: str, out: str, job_name: str, partitions: int, commit_s: float) -> None:
    """Run until SIGTERM."""
    app = make_app(app_id, broker, partitions, broker_commit_interval=commit_s)
    clicks = app.topic(topic, value_type=Click)
    matches = app.topic(out, value_type=Match, partitions=partitions)
    table = app.Table("visitors", partitions=partitions)

    @app.agent(clicks)
    async def watch(stream: Any) -> None:
        first = True
        async for click in stream:
            if first:
                sys.stdout.write(f"first {time.time()}\n")
                sys.stdout.flush()
                first = False
            for at in _absence(table, click) if job_name == "absence" else _look(table, click, job_name):
                await matches.send(key=click.visitor, value=Match(visitor=click.visitor, at=at))

    app.finalize()
    faust.Worker(app, loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:6], int(sys.argv[6]), float(sys.argv[7]))
