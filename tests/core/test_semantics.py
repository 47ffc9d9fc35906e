"""The semantics of rules, one by one, as the design numbers them. Times in ms; boundaries in threes."""

from __future__ import annotations

import itertools

import pytest

from streams.core import definition as d
from streams.core.definition import Limits
from streams.core.effects import EventResult
from streams.core.ruleset import DefinitionErrors, EngineOptions
from streams.core.visitor import encode_visitor
from tests.core.build import (
    DAY,
    HOUR,
    MINUTE,
    Log,
    both,
    compiled,
    count,
    either,
    event,
    fires,
    matcher,
    missing,
    never,
    outcome,
    rule,
    seen,
    sequence,
    step_of,
    where,
)

# --- 1. `within: D` means less than D


@pytest.mark.parametrize(("gap", "expected"), [(99, [99]), (100, []), (101, [])])
def test_1_a_count_looks_at_less_than_its_window(gap, expected):
    assert fires(count("a", at_least=2, within=100), (0, "a"), (gap, "a")) == expected


@pytest.mark.parametrize(("gap", "expected"), [(99, []), (100, [100]), (101, [101])])
def test_1_a_never_looks_at_less_than_its_window(gap, expected):
    assert fires(both(event("b"), never("a", within=100)), (0, "a"), (gap, "b")) == expected


@pytest.mark.parametrize(("gap", "expected"), [(99, [99]), (100, []), (101, [])])
def test_1_a_sequence_takes_less_than_its_window(gap, expected):
    assert fires(sequence("a", "b", within=100), (0, "a"), (gap, "b")) == expected


@pytest.mark.parametrize(("gap", "expected"), [(99, [109]), (100, []), (101, [])])
def test_1_a_step_comes_less_than_its_window_after_the_one_before(gap, expected):
    steps = sequence("a", step_of("b", within=100), "c")
    assert fires(steps, (0, "a"), (gap, "b"), (gap + 10, "c")) == expected


@pytest.mark.parametrize(("gap", "expected"), [(99, []), (100, [100]), (101, [100])])
def test_1_an_absence_is_complete_when_its_span_has_passed(gap, expected):
    assert fires(missing("b", "a", 100), (0, "a"), (gap, "b")) == expected


@pytest.mark.parametrize(("gap", "expected"), [(99, []), (100, [100]), (101, [100])])
def test_1_an_idleness_is_complete_when_its_span_has_passed(gap, expected):
    assert fires(d.Idle(100), (0, "a"), (gap, "b")) == expected


# --- 2. edges


def test_2_a_rule_fires_when_it_begins_to_hold_and_not_while_it_holds():
    assert fires(seen("a"), (0, "a"), (10, "a"), (20, "b"), (30, "a")) == [0]


def test_2_it_fires_again_after_it_has_stopped():
    assert fires(seen("a", within=100), (0, "a"), (50, "a"), (149, "a"), (249, "a"), (400, "a")) == [0, 249, 400]


def test_2_an_event_can_stop_it():
    exactly_once = count("a", at_least=1, at_most=1, within=100)
    assert fires(exactly_once, (0, "a"), (50, "a"), until=500) == [0, 100]


def test_2_time_can_begin_it():
    assert fires(both(seen("a"), never("b", within=100)), (0, "b"), (50, "a"), until=500) == [100]


def test_2_each_event_at_hand_is_an_edge():
    assert fires(event("a"), (0, "a"), (0, "a"), (1, "b"), (2, "a")) == [0, 0, 2]


def test_2_each_new_match_is_an_edge():
    events = [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "b")]
    assert fires(sequence("a", "b"), *events) == [1, 3]


def test_2_a_new_match_is_no_edge_when_the_rule_holds_without_it():
    assert fires(either(seen("a"), event("b")), (0, "a"), (10, "b")) == [0]
    assert fires(either(seen("a"), sequence("b", "c")), (0, "a"), (10, "b"), (20, "c")) == [0]
    assert fires(either(seen("a"), d.Idle(60)), (0, "a"), until=100) == [0]


def test_2_a_new_match_is_an_edge_when_the_rule_would_not_hold_without_it():
    assert fires(either(count("a", at_least=1, at_most=1), event("a")), (0, "a"), (1, "a")) == [0, 1]


def test_2_limits_decide_about_the_rest():
    log = Log(compiled(rule(event("a"), limits=Limits(per_session=1)))).all((0, "a"), (1, "a"))
    assert [decision.kind for decision in log.decisions] == ["suggested", "suppressed"]


# --- 3. where


def test_3_an_event_that_fails_its_where_does_not_count():
    empty = count("search", where("props.results", "eq", 0), at_least=2)
    events = [(0, "search", {"results": 0}), (1, "search", {"results": 5}), (2, "search", {})]
    assert fires(empty, *events) == []
    assert fires(empty, *events, (3, "search", {"results": 0})) == [3]


def test_3_an_event_that_fails_its_where_does_not_cancel():
    absence = d.Missing(matcher("b", where("props.n", "eq", 1)), matcher("a"), 100)
    assert fires(absence, (0, "a"), (50, "b", {"n": 2}), until=200) == [100]
    assert fires(absence, (0, "a"), (50, "b", {"n": 1}), until=200) == []


def test_3_an_event_that_fails_its_where_does_not_come_between():
    steps = sequence("a", step_of("c", forbid=[matcher("b", where("props.n", "eq", 1))]))
    assert fires(steps, (0, "a"), (1, "b", {"n": 2}), (2, "c")) == [2]
    assert fires(steps, (0, "a"), (1, "b", {"n": 1}), (2, "c")) == []


# --- 4. one event, several parts


def test_4_one_event_never_fills_two_steps():
    assert fires(sequence("a", "a"), (0, "a")) == []
    assert fires(sequence("a", "a"), (0, "a"), (1, "a")) == [1]
    assert fires(sequence("a", "*"), (0, "a"), (0, "b")) == [0]


def test_4_one_event_may_satisfy_several_branches():
    assert fires(both(event("a"), seen("a"), count("*", at_least=1)), (0, "a")) == [0]


# --- 5. partial matches


def test_5_a_second_start_opens_a_second_match():
    """The first has run out of time when the second completes."""
    assert fires(sequence("a", "b", within=100), (0, "a"), (50, "a"), (120, "b")) == [120]


def test_5_both_matches_complete_at_once_and_are_one_edge():
    assert fires(sequence("a", "b"), (0, "a"), (1, "a"), (2, "b"), (3, "b")) == [2]


def test_5_a_later_start_is_its_own_match():
    events = [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "b"), (5, "c")]
    assert fires(sequence("a", "b", "c"), *events) == [3, 5]


def test_5_the_oldest_start_goes_and_the_newest_stays():
    starts = [(at, "a", {"n": at}) for at in range(100)]
    steps = sequence(step_of("a", name="one"), step_of("b", where("props.n", "same_as", "one.props.n")))
    assert fires(steps, *starts, (200, "b", {"n": 99})) == [200]
    assert fires(steps, *starts, (200, "b", {"n": 0})) == []


def test_5_events_between_do_not_push_a_start_out():
    between = [(1 + index, "b") for index in range(100)]
    assert fires(sequence("a", "b", "c"), (0, "a"), *between, (200, "c")) == [200]


def test_5_each_start_of_an_absence_has_its_own_clock():
    assert fires(missing("b", "a", 100), (0, "a"), (30, "a"), until=500) == [100, 130]


# --- 6. the clock of an absence


def test_6_the_clock_starts_at_the_step_and_not_at_events_after_it():
    assert fires(missing("b", "a", 100), (0, "a"), (60, "x"), (99, "x"), until=500) == [100]


def test_6_a_violation_ends_a_trailing_absence():
    assert fires(missing("b", "a", 100), (0, "a"), (50, "b"), until=500) == []


def test_6_a_violation_ends_a_completed_one_too():
    held = both(missing("b", "a", 100), seen("c"))
    assert fires(held, (0, "a"), (110, "c")) == [110]
    assert fires(held, (0, "a"), (105, "b"), (110, "c")) == []


def test_6_a_violation_restarts_a_leading_absence():
    quiet_then_b = both(event("b"), never("a", within=100), seen("a"))
    assert fires(quiet_then_b, (0, "a"), (60, "a"), (120, "b")) == []
    assert fires(quiet_then_b, (0, "a"), (60, "a"), (160, "b")) == [160]


def test_6_at_one_moment_the_order_is_that_of_the_log():
    absence = missing("b", "a", 60)
    assert fires(absence, (5, "b"), (5, "a"), until=500) == [65]
    assert fires(absence, (5, "a"), (5, "b"), until=500) == []
    assert fires(absence, (0, "a"), (5, "b"), (5, "a"), until=500) == [65]


def test_6_until_the_session_ends():
    options = EngineOptions(session_timeout_ms=1000)
    absence = missing("b", "a", None)
    assert fires(absence, (0, "a"), (500, "x"), until=1499, options=options) == []
    assert fires(absence, (0, "a"), (500, "x"), until=1500, options=options) == [1500]
    assert fires(absence, (0, "a"), (500, "b"), until=9000, options=options) == []
    assert fires(absence, (0, "b"), (500, "a"), until=9000, options=options) == [1500]


# --- 7. a timer comes first


def test_7_a_timer_due_at_t_fires_before_an_event_of_t():
    log = Log(compiled(missing("b", "a", 100), event("b"))).all((0, "a"), (100, "b"))
    assert log.fired == [("r0", 100), ("r1", 100)]
    assert [decision.trigger[0] for decision in log.decisions] == ["@", "e"]


def test_7_timers_fire_in_the_order_of_time_whatever_the_order_of_rules():
    log = Log(compiled(missing("b", "a", 300), missing("b", "a", 100), missing("b", "a", 200)))
    assert log.add(0, "a").tick(1000).fired == [("r1", 100), ("r2", 200), ("r0", 300)]


def test_7_a_timer_has_its_own_time_however_late_it_is_looked_at():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a").tick(100_000)
    assert log.at == [100]


# --- 8. lateness


@pytest.mark.parametrize(
    ("age", "result"),
    [
        (10 * MINUTE - 1, EventResult.APPLIED),
        (10 * MINUTE, EventResult.APPLIED),
        (10 * MINUTE + 1, EventResult.LATE),
    ],
)
def test_8_later_than_the_bound_is_late(age, result):
    log = Log(compiled(count("a", at_least=2))).add(HOUR, "x").add(HOUR, "a", ts=HOUR - age)
    assert log.results[-1] is result


def test_8_a_late_event_does_not_count_for_conditions():
    log = Log(compiled(count("a", at_least=2))).add(HOUR, "a").add(HOUR, "a", ts=0)
    assert log.fired == []


def test_8_a_late_event_counts_for_outcomes():
    log = Log(compiled()).add(HOUR, "x").add(HOUR, "chat_opened", ts=0)
    assert [(record.outcome, record.amount) for record in log.outcomes] == [("chat", 6.5)]


def test_8_a_late_event_counts_for_an_outcome_of_several_events():
    either_way = outcome(when=either(event("chat_opened"), event("call")))
    log = Log(compiled(outcomes=[either_way])).add(HOUR, "x").add(HOUR, "call", ts=0)
    assert len(log.outcomes) == 1


def test_8_late_is_measured_by_the_partitions_clock():
    log = Log(compiled(event("a"))).add(0, "a", now=10 * MINUTE + 1)
    assert log.results == [EventResult.LATE]


def test_8_windows_are_of_event_time():
    """Both came now; they happened far apart."""
    pair = count("a", at_least=2, within=100)
    assert Log(compiled(pair)).add(500, "a", ts=300).add(500, "a", ts=500).at == []
    assert Log(compiled(pair)).add(500, "a", ts=401).add(500, "a", ts=500).at == [500]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_8_a_count_does_not_depend_on_the_order(order):
    """As of the latest event, 300: inside its window are 201, 250 and 300."""
    times = [200, 201, 250, 300]
    for at_least, expected in [(3, True), (4, False)]:
        log = Log(compiled(both(count("a", at_least=at_least, within=100), event("end"))))
        for index in order:
            log.add(300, "a", ts=times[index])
        assert (log.add(300, "end").at == [300]) is expected


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_8_a_sequence_does_not_depend_on_the_order(order):
    log = Log(compiled(sequence("a", "b", "c")))
    for index in order:
        log.add(300, "abc"[index], ts=100 + index)
    assert len(log.at) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_8_a_wrong_sequence_stays_wrong_in_any_order(order):
    log = Log(compiled(sequence("a", "b", "c")))
    for index in order:
        log.add(300, "abc"[index], ts=100 - index)
    assert log.at == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_8_an_absence_does_not_depend_on_the_order(order):
    """a at 0 is ended by b at 20; a at 50 is not."""
    parts = [("a", 0), ("b", 20), ("a", 50)]
    log = Log(compiled(missing("b", "a", 100)))
    for index in order:
        log.add(60, parts[index][0], ts=parts[index][1])
    assert log.tick(500).at == [150]


def test_8_a_violation_from_before_the_start_ends_nothing():
    held = both(missing("b", "a", 60), seen("x"))
    log = Log(compiled(held)).add(100, "a").add(170, "y").add(170, "b", ts=50).add(171, "x")
    assert log.at == [171]


def test_8_only_the_violation_in_time_ends_a_late_start():
    log = Log(compiled(missing("b", "a", 60))).all((0, "a"), (20, "b"), (100, "b"))
    assert log.add(100, "a", ts=10).tick(500).at == []


# --- 9. bounds


@pytest.mark.parametrize(("n", "refused"), [(255, False), (256, False), (257, True)])
@pytest.mark.parametrize("bound", ["at_least", "at_most"])
def test_9_a_count_beyond_the_bound_is_refused_with_its_line(n, refused, bound):
    mark = d.Mark("rules/a.yaml", 12, 5)
    condition = d.Count(matcher("a"), **{bound: n}, within_ms=DAY, mark=mark)
    if not refused:
        compiled(condition)
        return
    with pytest.raises(DefinitionErrors, match=r"rules/a\.yaml:12:5: ") as caught:
        compiled(condition)
    assert [finding.mark for finding in caught.value.findings] == [mark]


@pytest.mark.parametrize(("steps", "refused"), [(1, True), (2, False), (8, False), (9, True)])
def test_9_a_sequence_has_two_to_eight_steps(steps, refused):
    condition = sequence(*["a"] * steps)
    if refused:
        with pytest.raises(DefinitionErrors, match="2 to 8 steps"):
            compiled(condition)
    else:
        compiled(condition)


def test_9_a_count_keeps_the_last_n_times_and_not_the_history():
    log = Log(compiled(count("a", at_least=3, within=DAY)))
    sizes = [len(encode_visitor(log.add(at, "a").state)) for at in range(300)]
    assert max(sizes[40:]) - min(sizes[40:]) <= 8  # after the ring of ids has filled; the offset's digits grow


@pytest.mark.parametrize(("n", "refused"), [(100, False), (101, True)])
def test_9_a_limit_per_visitor_is_bounded(n, refused):
    limited = rule(seen("a"), limits=Limits(per_visitor=n))
    if refused:
        with pytest.raises(DefinitionErrors, match="per_visitor"):
            compiled(limited)
    else:
        compiled(limited)


# --- 10. edits


def test_10_an_edited_rule_keeps_the_state_of_what_did_not_change():
    pair = count("a", at_least=2)
    log = Log(compiled(rule(both(pair, seen("b"))))).add(0, "a")
    log.recode().ruleset = compiled(rule(both(pair, seen("c")), priority=80))
    assert log.add(1, "a").add(2, "c").at == [2]


def test_10_what_did_change_starts_anew():
    log = Log(compiled(rule(count("a", at_least=2)))).add(0, "a")
    log.recode().ruleset = compiled(rule(count("a", at_least=2, within=HOUR)))
    assert log.add(1, "a").at == []


def test_10_a_suggestion_names_the_version_that_made_it():
    ruleset = compiled(rule(seen("a")))
    log = Log(ruleset).add(0, "a")
    assert log.suggestions[0].version == log.decisions[0].version == ruleset.rules[0].version
