"""Which decision wins, limits, rendering, deterministic ids.

The order in which a firing is judged: consent (by the engine, before), mode, arm, limits, the outcome at hand, then
for one placement the highest priority, and a "no" of before. Each step that stops it is a `suppressed` decision with
its reason.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from streams.core.definition import Limits, Text
from streams.core.effects import Suppression
from streams.core.event import MISSING, scrub_text
from streams.core.visitor import History

PER_VISITOR_MAX: Final = 100  # of `limits.per_visitor`: so many times are kept of one rule
VALUE_CHARS_MAX: Final = 120  # of one value in a text: a banner is not the place for more
# A "no" is remembered for this long; then the rule may ask again.
DISMISSAL_MEMORY_MS: Final = 180 * 86_400_000

PLACEHOLDER = re.compile(r"\{\{\s*([a-zA-Z0-9_.\-]+)\s*\}\}")

Lookup = Callable[[str], Any]


class Template:
    """A text with placeholders ``{{ event.props.query }}``; no code, no logic."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        # Even positions are literal text, odd ones are paths.
        self._parts = PLACEHOLDER.split(text)

    @property
    def paths(self) -> tuple[str, ...]:
        """The placeholders, in order."""
        return tuple(self._parts[1::2])

    def render(self, lookup: Lookup) -> str | None:
        """The text with HTML-escaped values; None when a placeholder finds nothing, as a text with a hole misleads."""
        if len(self._parts) == 1:
            return self._parts[0]
        out = list(self._parts)
        for index in range(1, len(out), 2):
            value = _written(lookup(out[index]))
            if value is None:
                return None
            out[index] = value
        return "".join(out)


def _written(value: Any) -> str | None:
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return html.escape(scrub_text(text)[:VALUE_CHARS_MAX]) if text else None


Templates = tuple[tuple[str, Template], ...]


def compile_text(text: Text) -> Templates:
    """One template a language."""
    return tuple((language, Template(written)) for language, written in text)


def render_text(templates: Templates, lookup: Lookup) -> dict[str, str] | None:
    """The text in every language; None when one of them cannot be rendered."""
    rendered: dict[str, str] = {}
    for language, template in templates:
        text = template.render(lookup)
        if text is None:
            return None
        rendered[language] = text
    return rendered


def effect_id(*parts: str) -> str:
    """A deterministic id of 20 hex digits: whatever is repeated after a crash is repeated with the same id."""
    return blake2b("\x1f".join(parts).encode(), digest_size=10).hexdigest()


def is_dismissed(limits: Limits, history: History | None, at: int) -> bool:
    """Whether the visitor's "no" still holds at `at`, ms."""
    dismissed = history.dismissed if history is not None and limits.stop_after_dismissal else 0
    return bool(dismissed) and at - dismissed < DISMISSAL_MEMORY_MS


def limited(limits: Limits, fired_in_session: int, history: History | None, at: int) -> Suppression | None:
    """Which limit forbids another one at `at`, ms; None if none does. A "no" is asked for by `is_dismissed`."""
    if limits.per_session is not None and fired_in_session >= limits.per_session:
        return Suppression.LIMIT_SESSION
    if history is None or not history.times:
        return None
    if limits.per_visitor is not None:
        within = limits.per_visitor_within_ms
        recent = sum(within is None or at - time < within for time in history.times)
        if recent >= limits.per_visitor:
            return Suppression.LIMIT_VISITOR
    if limits.cooldown_ms is not None and at - history.times[-1] < limits.cooldown_ms:
        return Suppression.COOLDOWN
    return None


def count_firing(limits: Limits, history: History, at: int) -> None:
    """Note a counted firing; keeps as many times as the limits can ask about."""
    history.times.append(at)
    keep = max(limits.per_visitor or 1, 1)
    if len(history.times) > keep:
        del history.times[: len(history.times) - keep]


def history_matters_until(limits: Limits, history: History) -> int:
    """Until when, ms, `history` can still forbid something."""
    until = history.dismissed + DISMISSAL_MEMORY_MS if history.dismissed and limits.stop_after_dismissal else 0
    if history.times:
        last = history.times[-1]
        if limits.per_visitor is not None:
            until = max(until, last + (limits.per_visitor_within_ms or DISMISSAL_MEMORY_MS))
        if limits.cooldown_ms is not None:
            until = max(until, last + limits.cooldown_ms)
    return until
