"""The recorded shop's rule file on the pure engine: all 63 rows, without a broker."""

from __future__ import annotations

import json
from collections import defaultdict

from streams.core.engine import Position, step, tick
from streams.core.ruleset import EngineOptions
from streams.embedded.recorded_shop import MOBILE_SESSION, OPTIONS, RECORDING, adapt
from streams.replay import read_recording
from streams.rulefiles.load import load_rules

EXPECTED = json.loads((RECORDING.parent / "expected_sessions.json").read_text())


def test_rule_file_gives_the_owners_table_on_the_pure_engine() -> None:
    rules = load_rules(RECORDING.parent / "rules", EngineOptions())
    states, effects = {}, []
    events = read_recording(RECORDING, OPTIONS).events
    for offset, event in enumerate(events):
        state, _, new = step(states.get(event.visitor), event, Position(offset, event.ts), rules, event.ts)
        states[event.visitor] = state
        effects += new
    for state in states.values():
        effects += tick(state, rules, events[-1].ts + 3_600_000)[1]
    names = defaultdict(set)
    for effect in effects:
        names[effect.session].add(effect.outcome)
    assert len(names) == 63
    for row in EXPECTED:
        had = names[row["domain_sessionid"]]
        assert ("session_cart_abandoned" in had if "cart_touched" in had else None) == row["session_cart_abandoned"]


def line(**columns: object) -> dict:
    return {"ts": 1, "user_id": "u", "session_id": "s", "event": "add_to_cart", "event_id": "e"} | columns


def cart(total: str, *prices: str) -> dict:
    return {"cart": [{"total_value": total}], "product": [{"id": "1", "price": price} for price in prices]}


def test_cart_is_created_when_the_products_make_up_its_total() -> None:
    assert adapt(line(props=cart("40.0", "25.0", "15.0")))["props"]["cart_created"] is True


def test_cart_that_held_something_before_is_not_created() -> None:
    assert adapt(line(props=cart("40.0", "25.0")))["props"]["cart_created"] is False


def test_only_adding_creates_a_cart() -> None:
    assert "cart_created" not in adapt(line(event="remove_from_cart", props=cart("15.0", "15.0")))["props"]


def test_application_that_their_run_skips_is_left_out() -> None:
    assert adapt(line(props={"app_id": "skip-me"})) is None


def test_mobile_app_without_ids_is_its_one_session() -> None:
    adapted = adapt(line(user_id=None, session_id=None, props={}))
    assert (adapted["visitor"], adapted["session"]) == (MOBILE_SESSION, MOBILE_SESSION)
