"""Waiting for what tells nobody that it has happened: asking again and again, and saying what never came true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

WAIT_S_MAX = 60.0  # far above what anything takes
_ASK_S = 0.05


def wait_for(
    condition: Callable[[], Any], what: str | Callable[[], str] = "it happens", within_s: float = WAIT_S_MAX
) -> Any:
    """Wait until the condition is true, and return its value; `what` says what is waited for."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, _in_vain(what, within_s)
        time.sleep(_ASK_S)
    return value


async def until(
    condition: Callable[[], Any | Awaitable[Any]], what: str | Callable[[], str] = "it happens",
    within_s: float = WAIT_S_MAX,
) -> Any:
    """The same for a condition that may be a coroutine's, while others go on. One that hangs is given up, too."""
    try:
        async with asyncio.timeout(within_s) as limit:
            while not (value := await _value_of(condition)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_ASK_S)
            return value
    except TimeoutError:
        if not limit.expired():
            raise  # the condition's own
    raise AssertionError(_in_vain(what, within_s))


async def _value_of(condition: Callable[[], Any | Awaitable[Any]]) -> Any:
    value = condition()
    return await value if asyncio.iscoroutine(value) else value


def _in_vain(what: str | Callable[[], str], within_s: float) -> str:
    return f"not within {within_s:g} s: {what if isinstance(what, str) else what()}"
