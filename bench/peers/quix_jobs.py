"""The three jobs on Quix Streams, state in RocksDB with a changelog.

``python -m bench.peers.quix_jobs BROKER TOPIC APP OUT JOB STATE_DIR COMMIT_S``. Quix Streams has no timers of a key:
an absence is looked for at the visitor's next event (its session windows could tell it by event time, at a tenth of
the speed). Prints the time of the first event (seconds since the epoch).
"""

from __future__ import annotations

import sys
import time
from typing import Any

from quixstreams import Application, State

from bench.peers._jobs import ABSENCE_MS, END, JOBS, START, absence_role, overdue

_first: list[float] = []


def _tell_first() -> None:
    _first.append(time.time())
    sys.stdout.write(f"first {_first[0]}\n")
    sys.stdout.flush()


def main(broker: str, topic: str, app_id: str, out: str, job_name: str, state_dir: str, commit_s: str) -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=broker,
        consumer_group=app_id,
        auto_offset_reset="earliest",
        state_dir=state_dir,
        commit_interval=float(commit_s),
        loglevel="WARNING",
    )
    stream = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))

    def seen(_: dict[str, Any]) -> bool:
        if not _first:
            _tell_first()
        return True

    def absence(click: dict[str, Any], state: State) -> list[dict[str, Any]]:
        at, role = click["ts"], absence_role(click["type"])
        pending: list[int] = state.get("pending", [])
        due = overdue(pending, at)
        left = [] if role == END else pending[len(due) :]
        if role == START:
            left = [*left, at]
        if left != pending:
            state.set("pending", left)
        return [{"visitor": click["visitor"], "at": start + ABSENCE_MS} for start in due]

    if job_name == "absence":
        found = stream.filter(seen).apply(absence, stateful=True, expand=True)
    else:
        job = JOBS[job_name]

        def concerns(click: dict[str, Any]) -> bool:
            if not _first:
                _tell_first()
            return job.role(click["type"], click["props"]) is not None

        def look(click: dict[str, Any], state: State) -> dict[str, Any] | None:
            role = job.role(click["type"], click["props"])
            assert role is not None  # see `concerns`
            step = job.step(state.get("state"), role, click["ts"])
            if step.state is not None:
                state.set("state", step.state)
            return None if step.match_at is None else {"visitor": click["visitor"], "at": step.match_at}

        found = stream.filter(concerns).apply(look, stateful=True).filter(lambda match: match is not None)
    found.to_topic(app.topic(out, value_serializer="json", key_serializer="str"))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
