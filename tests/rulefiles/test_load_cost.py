"""What rules cost: the bound holds, and the time is a time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.core.definition import Program
from streams.core.engine import Position, step
from streams.core.event import Event
from streams.core.matcher import MEMORABLE_CHARS_MAX
from streams.core.ruleset import compile_ruleset
from streams.rulefiles.load import load_program
from streams.rulefiles.load_cost import costs_of, leaves_of, state_bound
from tests.rulefiles.broken_cases import OPTIONS, write_files

HEAD = "rule: {name}\nprevents: support_chat\nsuggest: {{placement: p, title: {title}}}\nwhen:\n  {when}\n"
CONDITIONS = {
    "count": "count: {event: search}\n  at_least: 100\n  within: 20m",
    "distinct": "count: {event: search}\n  at_least: 30\n  distinct: query\n  within: 20m",
    "sequence": "sequence: [{event: search, as: a}, {event: help_view, where: {query: {same_as: a.query}}}]",
    "missing": "missing: {event: purchase}\n  after: {event: search}\n  for: 1m",
    "last": "last: query\n  of: {event: search}\n  eq: x",
    "event": "event: search",
}


def program_of(directory: Path, title: str = "T", **conditions: str) -> Program:
    texts = {name: HEAD.format(name=name, title=title, when=when) for name, when in conditions.items()}
    program, _ = load_program(write_files(directory, **texts), OPTIONS)
    return program


@pytest.mark.parametrize("name", CONDITIONS)
def test_no_state_is_larger_than_the_bound(tmp_path: Path, name: str) -> None:
    """However long the texts and the visit are."""
    ruleset = compile_ruleset(program_of(tmp_path, '"{{ event.props.query }}"', **{name: CONDITIONS[name]}), OPTIONS)
    (rule,) = ruleset.rules
    keys = {leaf.key for leaf in leaves_of(rule)}
    bound = sum(state_bound(rule))
    state, largest = None, 0
    for number in range(600):
        kind = ("search", "help_view", "purchase")[number % 7 % 3]
        now = 1_700_000_000_000 + 1000 * number
        query = "\U0001f600" * MEMORABLE_CHARS_MAX + str(number)
        event = Event(id=str(number), visitor="v", type=kind, ts=now, props={"query": query[number % 3 :]})
        state, _, _ = step(state, event, Position(number, now), ruleset, now)
        (session,) = state.sessions
        own = {key: kept for key, kept in session.states.items() if key in keys}
        timers = {key: due for key, due in session.timers.items() if key in keys}
        largest = max(largest, len(msgspec.msgpack.encode(own)) + len(msgspec.msgpack.encode(timers)))
    assert 0 < largest <= bound


def test_each_rule_has_its_cost(tmp_path: Path) -> None:
    program = program_of(tmp_path, **CONDITIONS)
    costs = {cost.rule: cost for cost in costs_of(program, [], OPTIONS)}
    assert set(costs) == set(CONDITIONS)
    assert all(cost.us_per_event >= 0 and cost.conditions == 1 for cost in costs.values())
    assert costs["count"].state_bytes_max > costs["event"].state_bytes_max
    assert costs["count"].text_bytes_max == 0 < costs["sequence"].text_bytes_max


def test_rules_that_rest_have_a_cost_too(tmp_path: Path) -> None:
    text = HEAD.format(name="a", title="T", when="idle: 5m") + "mode: draft\n"
    program, tests = load_program(write_files(tmp_path, a=text), OPTIONS)
    (cost,) = costs_of(program, tests, OPTIONS)
    assert cost.rule == "a"


def test_it_is_measured_on_the_rule_s_own_tests_whatever_the_order_of_their_times(tmp_path: Path) -> None:
    late = "{at: 9m, event: search}, {at: 1m, event: search}"
    text = HEAD.format(name="a", title="T", when=CONDITIONS["missing"]) + (
        f"tests:\n  - name: n\n    events: [{late}]\n    expect: silent\n"
        "  - name: m\n    events: [{at: 0s, event: purchase}]\n    expect: silent\n"
    )
    program, tests = load_program(write_files(tmp_path, a=text), OPTIONS)
    (cost,) = costs_of(program, tests, OPTIONS)
    assert cost.conditions == 1
