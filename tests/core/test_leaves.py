"""From definitions to leaves: what is refused, what comes late, what an edit drops, whom a rule is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import definition as d
from streams.core.conditions import CountLeaf
from streams.core.effects import Suppression
from streams.core.experiment import share_of
from streams.core.leaves import Bench, make_leaf
from streams.core.ruleset import DefinitionErrors
from streams.core.signals import SignalOptions
from tests.core.build import HOUR, Log, both, compiled, content, count, event, fires, rule, seen, sequence, where
from tests.core.programs import histories

MARK = d.Mark("rules/a.yaml", 3, 5)


def test_a_tree_is_no_leaf():
    bench = Bench(0, 1000, SignalOptions(), lambda mark, message: None)
    with pytest.raises(TypeError, match="not a leaf"):
        make_leaf(1, both(seen("a")), bench, frozenset(), False)


def test_silence_that_no_session_outlives_is_refused_with_the_line():
    condition = d.Sequence((d.Step(d.Matcher(("a",))),), quiet=d.Quiet(2 * HOUR, mark=MARK))
    with pytest.raises(DefinitionErrors, match=r"rules/a\.yaml:3:5: a session ends after 1800 s") as caught:
        compiled(condition)
    assert len(caught.value.findings) == 1


def test_silence_of_some_events_may_last_longer_than_a_pause():
    compiled(d.Sequence((d.Step(d.Matcher(("a",))),), quiet=d.Quiet(2 * HOUR, d.Matcher(("x",)))))


# --- late events that complete an older window


@pytest.mark.parametrize(("ts", "fired"), [(99, [99]), (100, []), (101, [])])
def test_a_late_event_completes_a_window_that_is_over(ts, fired):
    log = Log(compiled(count("a", at_least=2, within=100))).add(0, "a").add(5000, "b")
    assert log.add(5001, "a", ts=ts).at == fired


def test_a_window_that_had_fired_does_not_fire_again_for_a_late_event():
    log = Log(compiled(count("a", at_least=2, within=100))).add(0, "a").add(50, "a").add(5000, "b")
    assert log.add(5001, "a", ts=70).at == [50]
    assert log.add(5002, "a", ts=20).at == [50]


def test_a_late_match_of_the_past_does_not_go_on_holding():
    log = Log(compiled(both(count("a", at_least=2, within=100), seen("b")))).add(0, "a").add(5000, "b")
    log.add(5001, "a", ts=60)
    assert log.at == [60]
    assert log.state.sessions[0].holding == []
    assert log.add(6000, "b").at == [60]


@given(st.lists(st.integers(0, 400), min_size=2, max_size=3, unique=True), st.integers(0, 2))
def test_counts_find_as_many_windows_in_any_order(times, late):
    """One event that comes last, whatever its time: with no more times than are kept, nothing is missed or doubled."""
    rules = compiled(count("a", at_least=2, within=100))
    in_order, shuffled = Log(rules), Log(rules)
    for at in sorted(times):
        in_order.add(1000 + at, "a")
    moved = times[late % len(times)]
    for at in sorted(set(times) - {moved}):
        shuffled.add(1000 + at, "a")
    shuffled.add(2000, "b").add(2001, "a", ts=1000 + moved)
    assert len(shuffled.at) <= len(in_order.at) + 1
    assert bool(shuffled.at) == bool(in_order.at)


def test_only_a_window_of_several_can_be_completed_late():
    leaf = CountLeaf(1, 1, None, 100)
    assert not leaf._completes_older([1, 2], 1, 500)


# --- edits


def edited(restart: bool, title: str, condition: d.Condition):
    return compiled(
        rule(condition, "edited", restart_on_edit=restart, suggest=content(title)), rule(condition, "other")
    )


AB = sequence("a", "b", within=60)


@pytest.mark.parametrize(("restart", "fired"), [(False, [("edited", 10), ("other", 10)]), (True, [("other", 10)])])
def test_what_an_edit_does_to_a_match_in_flight(restart, fired):
    log = Log(edited(restart, "one", AB)).add(0, "a")
    log.recode().ruleset = edited(restart, "two", AB)
    assert sorted(log.add(10, "b").fired) == fired


@pytest.mark.parametrize("restart", [False, True])
def test_compiling_the_same_rule_again_keeps_its_state(restart):
    log = Log(edited(restart, "one", AB)).add(0, "a")
    log.recode().ruleset = edited(restart, "one", AB)
    assert len(log.add(10, "b").fired) == 2


@given(histories, st.integers(0, 12), st.booleans())
def test_an_edit_between_any_two_events(history, at, restart):
    """An edit of the text keeps everything; one that restarts leaves the rule as one that begins there."""
    plain, split = Log(edited(restart, "one", AB)), Log(edited(restart, "one", AB))
    fresh = Log(edited(restart, "two", AB))
    for index, one in enumerate(history):
        if index == at:
            split.recode().ruleset = edited(restart, "two", AB)
        for log in (plain, split):
            log.add(one.ts, one.type)
        if index >= at:
            fresh.add(one.ts, one.type)
    others = [[found for found in log.fired if found[0] == "other"] for log in (plain, split)]
    assert others[0] == others[1]
    if not restart:
        assert split.fired == plain.fired
    else:
        before = [
            found for found in plain.fired if found[0] == "edited" and at < len(history) and found[1] < history[at].ts
        ]
        mine = [found for found in split.fired if found[0] == "edited"]
        assert mine[: len(before)] == before or at >= len(history)


def test_another_condition_of_an_edited_rule_starts_with_nothing():
    log = Log(compiled(rule(AB))).add(0, "a")
    log.recode().ruleset = compiled(rule(sequence("a", "b", within=59)))
    assert log.add(10, "b").fired == []


# --- whom a rule is for, and which text


@pytest.mark.parametrize(("device", "kind"), [("mobile", "suggested"), ("desktop", "suppressed")])
def test_the_audience_is_asked_when_the_rule_fires(device, kind):
    aimed = rule(seen("a"), audience=d.Audience((where("device", "eq", "mobile"),)))
    log = Log(compiled(aimed)).add(0, "a", context={"device": device})
    assert [decision.kind for decision in log.decisions] == [kind]
    assert [decision.reason for decision in log.decisions] == (
        [None] if kind == "suggested" else [Suppression.NOT_IN_AUDIENCE]
    )


def test_a_share_of_the_visitors_is_always_the_same_one():
    ruleset = compiled(rule(seen("a"), audience=d.Audience(visitors=0.3)))
    kinds = [Log(ruleset, f"v{number}").add(0, "a").decisions[0].kind for number in range(400)]
    assert 90 <= kinds.count("suggested") <= 150
    assert kinds == [Log(ruleset, f"v{number}").add(0, "a").decisions[0].kind for number in range(400)]
    everybody = compiled(rule(seen("a"), audience=d.Audience()))
    assert Log(everybody).add(0, "a").decisions[0].kind == "suggested"


def test_an_audience_with_an_impossible_test_is_refused():
    with pytest.raises(DefinitionErrors, match="a session has no `nope`"):
        compiled(rule(seen("a"), audience=d.Audience((where("nope", "eq", 1),))))


def variants(*weights: float) -> d.Content:
    made = tuple(d.Variant(f"v{index}", weight, (("en", f"text {index}"),)) for index, weight in enumerate(weights))
    return replace(content("base"), variants=made)


def test_variants_split_the_treated_visitors_by_weight():
    ruleset = compiled(rule(seen("a"), suggest=variants(3, 1), holdout=0.2))
    found = {"v0": 0, "v1": 0, None: 0}
    for number in range(1000):
        log = Log(ruleset, f"visitor-{number}").add(0, "a")
        (decision,) = log.decisions
        found[decision.variant] += 1
        assert (decision.variant is None) == (decision.arm == "control")
        for suggestion in log.suggestions:
            assert suggestion.variant == decision.variant
            assert suggestion.title == {"en": f"text {decision.variant[1]}"}
    assert 150 <= found[None] <= 250
    assert 2.3 <= found["v0"] / found["v1"] <= 3.9


@pytest.mark.parametrize("weights", [(1.0,), (0.1, 0.2, 0.7), (5.0, 5.0)])
def test_everybody_falls_into_one_share(weights):
    assert {share_of(f"v{number}", "salt", weights) for number in range(300)} == set(range(len(weights)))


def test_what_rounding_leaves_over_goes_to_the_last():
    assert share_of("v", "salt", (0.0, 0.0)) == 1


def test_a_variant_without_weight_is_refused():
    with pytest.raises(DefinitionErrors, match="weight lies above 0"):
        compiled(rule(seen("a"), suggest=variants(1, 0)))


def test_without_variants_nothing_is_said_of_them():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    assert (log.decisions[0].variant, log.suggestions[0].variant) == (None, None)
    assert fires(event("a"), (0, "a")) == [0]
