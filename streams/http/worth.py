"""What rules are worth, in the metrics: computed for the API from the totals of all workers, as `avert impact` does.

1. Why here: a worker knows its own partitions only, and an interval of a part says nothing of the whole. The API reads
   all of them (`TotalsReader`), and each of its processes shows the same numbers: take one of them, never their sum.
2. Nobody waits: a scrape starts a computation when the last began `worth_every_s` ago, and shows the one before. It is
   made in a process of its own (streams/impact/figures_child.py), which shares no interpreter with the loop.
3. The cost is bounded: after one that took long the next comes later, so that at most LOAD_MAX of a core is spent, at
   the lowest priority; one that takes longer than CHILD_S_MAX is ended.
4. The series are bounded: the RULES_MAX rules with the most visitors, and the programme. Nothing is summed up under
   another name, since intervals do not add up. ``GET /v1/impact`` has all of them.
5. A failure (no broker, no worker yet) leaves what was shown; ``avert_worth_timestamp_seconds`` says how old it is.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streams.errors import AvertError
from streams.http.impact import impact_totals
from streams.http.totals import TotalsReader
from streams.impact import model
from streams.impact.figures import Assessed, Figures
from streams.telemetry import (
    HOLDOUT_SHARE,
    METRICS_CONTENT_TYPE,
    NUDGE_COST,
    SAVED_AMOUNT,
    SPLIT_P_VALUE,
    VERDICT,
    WORTH_COMPUTED_AT,
    WORTH_SECONDS,
    log,
    metrics_page,
)

LOAD_MAX = 0.1  # of one core, in the long run: a hundred rules take some seconds
RULES_MAX = 200  # some 12 series each
CHILD_S_MAX = 600.0
_GAUGES: tuple[Any, ...] = (HOLDOUT_SHARE, NUDGE_COST, SAVED_AMOUNT, SPLIT_P_VALUE, VERDICT)
_decoder = msgspec.json.Decoder(Assessed)


class WorthUnknownError(AvertError):
    """The computation ended without figures."""

    reason = "worth_unknown"


class Worth:
    """``/metrics`` of the API. See the module."""

    def __init__(
        self, totals: TotalsReader, every_s: float, *, clock_s: Callable[[], float] = time.monotonic,
        assess: Callable[[model.Totals], Awaitable[Assessed]] | None = None,
    ) -> None:
        self._totals = totals
        self._every_s = every_s
        self._clock_s = clock_s
        self._assess = assess or assessed
        self._next_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def metrics(self, _request: Request) -> Response:
        """The page as it is; what it will be next time is under way."""
        if self._clock_s() >= self._next_s and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._look())
        return Response(metrics_page(), media_type=METRICS_CONTENT_TYPE)

    async def settled(self) -> None:
        """Return when nothing is under way."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """The process ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        began_s = self._clock_s()
        self._next_s = began_s + self._every_s
        try:
            totals, about = await self._totals.current()
            made = await self._assess(impact_totals(totals, about, int(time.time() * 1000)))
        except AvertError as error:
            log.info("worth_unknown", error=str(error))
            return
        self._next_s = began_s + max(self._every_s, made.cpu_s / LOAD_MAX)
        WORTH_SECONDS.set(made.cpu_s)
        WORTH_COMPUTED_AT.set(time.time())
        show(made.rules)


async def assessed(totals: model.Totals) -> Assessed:
    """The figures, from a process of its own. Raises WorthUnknownError when it ends without."""
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.impact.figures_child", stdin=PIPE, stdout=PIPE
        )
    except OSError as error:  # no process to be had, no memory for one
        raise WorthUnknownError(f"no process for the computation: {error}") from error
    try:
        async with asyncio.timeout(CHILD_S_MAX):
            raw, _ = await child.communicate(msgspec.json.encode(totals))
    except TimeoutError as error:
        raise WorthUnknownError(f"not computed within {CHILD_S_MAX:g} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise WorthUnknownError(f"the computation ended with exit code {child.returncode}; standard error says why")
    return _decoder.decode(raw)


def show(rules: list[Figures]) -> None:
    """Put figures into the gauges, in place of those before."""
    for gauge in _GAUGES:
        gauge.clear()
    for one in rules[: RULES_MAX + 1]:
        for kind, share in one.control.items():
            HOLDOUT_SHARE.labels(one.rule, kind).set(share)
        if one.split_p is not None:
            SPLIT_P_VALUE.labels(one.rule).set(one.split_p)
        if one.nudge_cost is not None:
            NUDGE_COST.labels(one.rule).set(one.nudge_cost)
        for kind, holds in one.verdicts.items():  # all of them, so that one that changes leaves no hole
            VERDICT.labels(one.rule, kind).set(holds)
        for bound, value in one.saved.items():
            SAVED_AMOUNT.labels(one.rule, bound).set(value)
