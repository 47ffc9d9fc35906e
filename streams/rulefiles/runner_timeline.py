"""What happened in one test, as lines for a person: events, each condition's value after it, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from streams.core.effects import Decision, Effect, EventResult, OutcomeRecord, Suggestion, Withdrawal
from streams.rulefiles.coverage import ConditionSeen
from streams.rulefiles.testforms import TestEvent
from streams.rulefiles.values import write_duration

SHOWN_CHARS_MAX = 60  # of one value in a timeline

Happening = TestEvent | Effect | EventResult | str | tuple[ConditionSeen, ...]


def timeline(happened: Iterable[tuple[int, Happening]]) -> Iterable[str]:
    """A line for each happening; times in ms after the test's start."""
    for at, what in happened:
        yield f"{write_duration(at):>8}  {_line(what)}"


def legend_lines(legend: Iterable[tuple[str, str]]) -> list[str]:
    """What the letters in the timeline stand for."""
    return [f"{letter:>8}  {words}" for letter, words in legend]


def _line(what: Happening) -> str:  # noqa: PLR0911 - one a happening
    match what:
        case TestEvent(type=kind, fields=fields):
            return " ".join([kind, *(f"{path.removeprefix('props.')}={_value(value)}" for path, value in fields)])
        case Decision(kind="suppressed", reason=reason):
            return f"  -> fires, suppressed: {reason}"
        case Decision(kind=decision, trigger=trigger):
            return f"  -> fires: {decision}" + (" (by timer)" if trigger.startswith("@") else "")
        case Suggestion(title=title):
            return "     " + " | ".join(f"{language}: {text}" for language, text in title.items())
        case Withdrawal(reason=reason):
            return f"  -> withdrawn: {reason}"
        case OutcomeRecord(outcome=outcome):
            return f"  -> outcome: {outcome}"
        case EventResult():
            return f"  (the event before: {what})"
        case tuple():
            return "  " + "   ".join(map(_condition, what))
    return f"({what})"


def _condition(seen: ConditionSeen) -> str:
    said = f"{seen.letter}: {'yes' if seen.holds else 'no'}"
    return said if isinstance(seen.value, bool) else f"{said} ({_value(seen.value)})"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
