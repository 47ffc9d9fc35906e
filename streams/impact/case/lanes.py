"""Lanes: for each anti-conversion, which part of a visitor's history is looked at.

A lane begins where the visitor can come to the outcome at all, and ends where he first does. For most that is the
whole history. Who waits for an absence (no purchase after a checkout) is at risk only after the checkout has begun:
otherwise every way into the checkout would look like a cause of leaving it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

from streams.core.definition import Matcher, Missing, OutcomeDefinition, Program, Signal, SignalName
from streams.core.prices import Amount
from streams.core.ruleset import EngineOptions, Ruleset, compile_ruleset

SIGNAL = "signal."  # before a signal's name where an outcome's name stands; no declared outcome has a dot in it


class Lane(NamedTuple):
    """One anti-conversion as it is looked at. `window_ms` is its attribution window."""

    outcome: str
    label: str
    window_ms: int
    after: frozenset[str]  # event types of which one begins the lane; none: it begins with the first event
    defining: frozenset[str]  # event types that the outcome is made of: they cannot be its antecedents

    @property
    def whole(self) -> bool:
        """Whether the lane begins with the visitor's first event."""
        return not self.after


def lanes_of(program: Program, options: EngineOptions) -> tuple[Lane, ...]:
    """A lane for each anti-conversion, in the order of the file."""
    return tuple(
        Lane(
            outcome.name,
            outcome.label or outcome.name,
            outcome.attribution_ms or options.attribution_window_ms,
            _named(part.after for part in parts_of(outcome.when, Missing)),
            _named(parts_of(outcome.when, Matcher)),
        )
        for outcome in program.outcomes
        if outcome.kind == "anti_conversion"
    )


def watching(program: Program, options: EngineOptions) -> Ruleset:
    """The declared outcomes and, as outcomes without a value, the signals; no rules: the case is the visitors' own.

    Raises DefinitionErrors.
    """
    signals = tuple(
        OutcomeDefinition(SIGNAL + name.value, "conversion", Signal(name), Amount(fixed=0.0)) for name in SignalName
    )
    return compile_ruleset(replace(program, outcomes=program.outcomes + signals, rules=()), options)


def parts_of(node: Any, kind: type[Any]) -> Iterator[Any]:
    """Every part of a condition that is a `kind`."""
    if isinstance(node, kind):
        yield node
    if isinstance(node, tuple):
        for part in node:
            yield from parts_of(part, kind)
    elif is_dataclass(node) and not isinstance(node, type):
        for field in fields(node):
            yield from parts_of(getattr(node, field.name), kind)


def _named(matchers: Iterator[Any]) -> frozenset[str]:
    """Event types that are named; a pattern names none."""
    return frozenset(name for matcher in matchers for name in matcher.types if "*" not in name)
