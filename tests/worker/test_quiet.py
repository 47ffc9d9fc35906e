"""Foreign logs are told once in a while, not ten times a second."""

from __future__ import annotations

import logging

import pytest

from streams.worker import quiet
from streams.worker.quiet import REPEAT_S, Sparse


def message(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, arguments, None)


@pytest.mark.parametrize(("after_s", "told"), [(REPEAT_S - 0.1, False), (REPEAT_S, True), (REPEAT_S + 0.1, True)])
def test_same_message_is_told_again_after_a_while(monkeypatch: pytest.MonkeyPatch, after_s: float, told: bool) -> None:
    now_s = 100.0
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now_s)
    sparse = Sparse()
    assert sparse.filter(message("no node %s", 1))
    now_s += after_s
    assert sparse.filter(message("no node %s", 2)) == told


def test_other_messages_are_told_at_once() -> None:
    sparse = Sparse()
    assert sparse.filter(message("one"))
    assert sparse.filter(message("two"))
