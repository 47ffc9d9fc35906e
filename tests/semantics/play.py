"""Rules of a case through the real loader and the real engine, in the times of the case."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.core.effects import Decision, Suggestion, Suppression
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from streams.rulefiles.findings import RuleFilesBrokenError
from streams.rulefiles.load import load_rules
from tests.semantics.language import ARM, OUTCOMES, SHOWN_APART, Rule, event_type, rule_file, rule_name
from tests.semantics.neutral import Inexpressible

T0 = 1_700_000_000_000  # the moment at which the pattern is armed
VISITOR = "somebody"
# The cases know no visits: none ends while a case runs.
OPTIONS = EngineOptions(session_timeout_ms=10 * 86_400_000)
OWN = ("t", "type", "id")  # what an event of a case has besides its fields


@dataclass(frozen=True)
class Firing:
    """A match that the engine found: when, and the ids of the events that the text shows, by tag."""

    at_ms: int
    shown: dict[str, str]


def play(rules: list[Rule], events: list[dict[str, Any]], until_ms: int) -> list[Firing]:
    """Every firing that led to a suggestion, in order. Raises Inexpressible when the language refuses the rules."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "outcomes.yaml").write_text(OUTCOMES)
        (Path(folder) / "case.yaml").write_text(rule_file(rules))
        try:
            ruleset = load_rules(Path(folder), OPTIONS)
        except RuleFilesBrokenError as error:
            first = str(error).splitlines()[0].partition("case.yaml:")[2].split(":", 2)[-1].strip()
            raise Inexpressible(f"the language refuses it: {first or error}") from error
    armed = Event(id="arm", visitor=VISITOR, type=ARM, ts=T0)
    state, _, effects = step(None, armed, Position(0, T0), ruleset, T0)
    for offset, given in enumerate(events, 1):
        at = T0 + given["t"]
        props = {key: value for key, value in given.items() if key not in OWN} | {"id": given["id"]}
        event = Event(id=f"{offset}", visitor=VISITOR, type=event_type(given["type"]), ts=at, props=props)
        state, _, more = step(state, event, Position(offset, at), ruleset, at)
        effects += more
    if state is not None:
        effects += tick(state, ruleset, T0 + until_ms)[1]
    shown = {rule_name(index): rule.show for index, rule in enumerate(rules)}
    suggested = [effect for effect in effects if isinstance(effect, Suggestion)]
    faults = [e for e in effects if isinstance(e, Decision) and e.reason not in (None, Suppression.LIMIT_SESSION)]
    if faults:
        raise AssertionError(f"a firing was stopped: {faults[0].reason}")
    return [Firing(one.created - T0, _read(one.title["en"], shown[one.rule])) for one in suggested]


def _read(text: str, show: tuple[tuple[str, str], ...]) -> dict[str, str]:
    _, *ids = text.split(SHOWN_APART)
    return {tag: html.unescape(found) for (tag, _), found in zip(show, ids, strict=True)}
