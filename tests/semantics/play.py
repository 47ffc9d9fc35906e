"""Rules of a case through the real loader and the real engine, in the times of the case."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.core.effects import Decision, Effect, Suggestion, Suppression
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import EngineOptions, Ruleset
from streams.core.visitor import decode_visitor, encode_visitor
from streams.rulefiles.findings import RuleFilesBrokenError
from streams.rulefiles.load import load_rules
from tests.semantics.language import ARM, OUTCOMES, SHOWN_APART, Rule, event_type, rule_file, rule_name
from tests.semantics.neutral import Inexpressible

T0 = 1_700_000_000_000  # the moment at which the pattern is armed
VISITOR = "somebody"
# The cases know no visits: none ends while a case runs.
OPTIONS = EngineOptions(session_timeout_ms=10 * 86_400_000)
BESIDES = Rule({"count": {"event": "*"}, "at_least": 3, "within": "10ms"}, (), once=False)
OWN = ("t", "type", "id")  # what an event of a case has besides its fields


@dataclass(frozen=True)
class Firing:
    """A match that the engine found: when, and the ids of the events that the text shows, by tag."""

    at_ms: int
    shown: dict[str, str]


def play(rules: list[Rule], events: list[dict[str, Any]], until_ms: int, *, reloading: bool = False) -> list[Firing]:
    """Every firing that led to a suggestion, in order. Raises Inexpressible when the language refuses the rules.

    `reloading`: before every other event the rules are read anew with one more among them, which is gone again before
    the next; and the state is written and read.
    """
    plain = _ruleset(rules)
    more = _ruleset([*rules, BESIDES]) if reloading else plain
    state, _, effects = step(None, Event("arm", VISITOR, ARM, T0), Position(0, T0), plain, T0)
    now = T0
    for offset, given in enumerate(events, 1):
        at = T0 + given["t"]
        now = max(now, at)
        props = {key: value for key, value in given.items() if key not in OWN} | {"id": given["id"]}
        event = Event(id=f"{offset}", visitor=VISITOR, type=event_type(given["type"]), ts=at, props=props)
        if reloading and state is not None:
            state = decode_visitor(VISITOR, encode_visitor(state))
        state, _, came = step(state, event, Position(offset, now), more if offset % 2 else plain, now)
        effects += came
    if state is not None:
        effects += tick(state, plain, T0 + until_ms)[1]
    return _firings(rules, effects)


def _ruleset(rules: list[Rule]) -> Ruleset:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "outcomes.yaml").write_text(OUTCOMES)
        (Path(folder) / "case.yaml").write_text(rule_file(rules))
        try:
            return load_rules(Path(folder), OPTIONS)
        except RuleFilesBrokenError as error:
            first = str(error).splitlines()[0].partition("case.yaml:")[2].split(":", 2)[-1].strip()
            raise Inexpressible(f"the language refuses it: {first or error}") from error


def _firings(rules: list[Rule], effects: list[Effect]) -> list[Firing]:
    shown = {rule_name(index): rule.show for index, rule in enumerate(rules)}
    for effect in effects:
        if isinstance(effect, Decision) and effect.reason not in (None, Suppression.LIMIT_SESSION):
            raise AssertionError(f"a firing was stopped: {effect.reason}")
    return [
        Firing(one.created - T0, _read(one.title["en"], shown[one.rule]))
        for one in effects
        if isinstance(one, Suggestion) and one.rule in shown
    ]


def _read(text: str, show: tuple[tuple[str, str], ...]) -> dict[str, str]:
    _, *ids = text.split(SHOWN_APART)
    return {tag: html.unescape(found) for (tag, _), found in zip(show, ids, strict=True)}
