"""From firing to suggestion: mode, arm, limits, priority, room; what a decision carries."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount, Limits
from streams.core.effects import Suppression
from streams.core.ruleset import EngineOptions
from streams.core.visitor import SUGGESTIONS_MAX
from tests.core.build import (
    HOUR,
    MINUTE,
    T0,
    UNLIMITED,
    Log,
    both,
    compiled,
    content,
    count,
    event,
    missing,
    outcome,
    rule,
    seen,
    sequence,
    step_of,
    where,
)

SESSION_ENDS = EngineOptions(session_timeout_ms=30 * MINUTE)


def kinds(log: Log) -> list[tuple[str, str]]:
    return [(decision.rule, decision.reason or decision.kind) for decision in log.decisions]


# --- what a decision and a suggestion carry


def test_a_decision_says_what_led_where():
    ruleset = compiled(rule(event("a"), "r", priority=70))
    log = Log(ruleset).add(5, "a", name="e7", session="s1")
    (decision,) = log.decisions
    (suggestion,) = log.suggestions
    assert (decision.visitor, decision.session, decision.rule, decision.version) == (
        "v", "s1", "r", ruleset.rules[0].version,
    )  # fmt: skip
    assert (decision.at, decision.kind, decision.arm, decision.trigger) == (T0 + 5, "suggested", "treated", "e7")
    assert (decision.exposure, decision.reason, decision.prevents, decision.promotes) == (True, None, "chat", None)
    assert decision.suggestion == suggestion.id != decision.id


def test_a_suggestion_carries_all_that_a_site_shows():
    offered = content(
        "Can't find it?", body=(("en", "Try {{ event.props.q }}"), ("it", "Prova {{ event.props.q }}")),
        action_label=(("en", "Track"),), action_href="/track", expires_ms=5 * MINUTE, placement="help",
    )  # fmt: skip
    log = Log(compiled(rule(event("a"), suggest=offered, priority=70)))
    log.add(5, "a", props={"q": "refund"}, context={"locale": "it-IT"})
    (suggestion,) = log.suggestions
    assert suggestion.title == {"en": "Can't find it?"}
    assert suggestion.body == {"en": "Try refund", "it": "Prova refund"}
    assert (suggestion.action_label, suggestion.action_href) == ({"en": "Track"}, "/track")
    assert (suggestion.placement, suggestion.priority, suggestion.locale) == ("help", 70, "it-IT")
    assert (suggestion.created, suggestion.expires) == (T0 + 5, T0 + 5 + 5 * MINUTE)


def test_a_timers_decision_names_its_deadline():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a").tick(5000)
    assert [(decision.at, decision.trigger) for decision in log.decisions] == [(T0 + 100, f"@{T0 + 100}")]


def test_a_rule_may_promote():
    bought = outcome("purchase", event("purchase"), "conversion")
    log = Log(compiled(rule(event("a"), prevents=None, promotes="purchase"), outcomes=[bought])).add(0, "a")
    assert (log.decisions[0].prevents, log.decisions[0].promotes) == (None, "purchase")


# --- placeholders


def test_a_timer_fills_in_what_the_events_before_had():
    offered = content("Your {{ event.props.item }}")
    ruleset = compiled(rule(missing("purchase", "cart", 100), suggest=offered))
    log = Log(ruleset).add(0, "cart", props={"item": "lamp"}).add(50, "cart", props={"item": "desk"}).tick(100)
    assert [suggestion.title["en"] for suggestion in log.suggestions] == ["Your desk"]


def test_an_event_without_the_field_is_helped_by_those_before():
    pair = both(seen("search"), event("help"))
    log = Log(compiled(rule(pair, suggest=content("{{ event.props.q }}"))))
    log.add(0, "search", props={"q": "refund"}).add(1, "help")
    assert log.suggestions[0].title == {"en": "refund"}


def test_the_event_at_hand_comes_first():
    pair = both(seen("search"), event("help"))
    log = Log(compiled(rule(pair, suggest=content("{{ event.props.q }}"))))
    log.add(0, "search", props={"q": "old"}).add(1, "help", props={"q": "new"})
    assert log.suggestions[0].title == {"en": "new"}


def test_of_several_memories_the_newest_counts():
    either_or = both(seen("search"), seen("filter"), event("help"))
    log = Log(compiled(rule(either_or, suggest=content("{{ event.props.q }}"))))
    log.add(0, "filter", props={"q": "one"}).add(1, "search", props={"q": "two"}).add(2, "help")
    assert log.suggestions[0].title == {"en": "two"}


def test_a_late_event_does_not_overwrite_a_newer_memory():
    pair = both(seen("search"), event("help"))
    log = Log(compiled(rule(pair, suggest=content("{{ event.props.q }}"))))
    log.add(100, "search", props={"q": "new"}).add(101, "search", ts=50, props={"q": "old"}).add(102, "help")
    assert log.suggestions[0].title == {"en": "new"}


def test_fields_of_the_session_can_be_shown():
    offered = content(
        "{{ session.events }} {{ session.device }} {{ session.campaign.source }} {{ session.entry_path }}"
    )
    log = Log(compiled(rule(count("*", at_least=2), suggest=offered)))
    log.add(0, "a", page={"path": "/in"}, context={"device": "mobile", "campaign": {"source": "news"}}).add(1, "b")
    assert log.suggestions[0].title == {"en": "2 mobile news /in"}


def test_steps_can_be_shown_by_name():
    steps = sequence(step_of("search", name="first"), step_of("search", name="second"))
    offered = content("{{ steps.first.props.q }} then {{ steps.second.props.q }} ({{ steps.first.page.path }})")
    log = Log(compiled(rule(steps, suggest=offered)))
    log.add(0, "search", props={"q": "a"}, page={"path": "/p"}).add(1, "search", props={"q": "b"})
    assert log.suggestions[0].title == {"en": "a then b (/p)"}


@pytest.mark.parametrize(
    "text", ["{{ event.props.q }}", "{{ session.device }}", "{{ session.campaign.x }}", "{{ steps.first.props.q }}"]
)
def test_a_text_with_a_hole_is_not_shown(text):
    steps = sequence(step_of("a", name="first"), "b")
    log = Log(compiled(rule(steps, suggest=content(text)))).all((0, "a"), (1, "b"))
    assert kinds(log) == [("r", Suppression.TEMPLATE_FIELD_MISSING)]
    assert log.suggestions == []


@pytest.mark.parametrize("part", ["body", "action_label"])
def test_a_hole_anywhere_is_a_hole(part):
    offered = content(**{part: (("en", "{{ event.props.none }}"),)})
    assert kinds(Log(compiled(rule(event("a"), suggest=offered))).add(0, "a")) == [
        ("r", Suppression.TEMPLATE_FIELD_MISSING)
    ]


@pytest.mark.parametrize("value", [["lamp", "desk"], {"name": "lamp"}])
def test_a_list_is_not_shown_by_a_timer_either(value):
    ruleset = compiled(rule(missing("purchase", "cart", 100), suggest=content("Your {{ event.props.items }}")))
    log = Log(ruleset).add(0, "cart", props={"items": value}).tick(100)
    assert kinds(log) == [("r", Suppression.TEMPLATE_FIELD_MISSING)]


def test_a_text_with_a_hole_counts_for_no_limit_and_no_exposure():
    offered = content("{{ event.props.q }}")
    log = Log(compiled(rule(event("a"), suggest=offered, limits=Limits(per_session=1))))
    log.add(0, "a").add(1, "a", props={"q": "x"})
    assert [decision.kind for decision in log.decisions] == ["suppressed", "suggested"]
    assert [decision.exposure for decision in log.decisions] == [False, True]


# --- modes


def test_shadow_decides_and_shows_nothing():
    log = Log(compiled(rule(event("a"), mode="shadow"))).add(0, "a")
    assert kinds(log) == [("r", "shadow")]
    assert (log.suggestions, log.state.live, log.state.exposures) == ([], [], [])


def test_shadow_counts_for_its_limits_as_live_would():
    log = Log(compiled(rule(event("a"), mode="shadow", limits=Limits(per_session=1)))).all((0, "a"), (1, "a"))
    assert kinds(log) == [("r", "shadow"), ("r", Suppression.LIMIT_SESSION)]


def test_shadow_is_outranked_by_nobody():
    log = Log(compiled(rule(event("a"), "high", priority=99), rule(event("a"), "low", mode="shadow"))).add(0, "a")
    assert kinds(log) == [("high", "suggested"), ("low", "shadow")]


def test_shadow_outranks_nobody():
    log = Log(compiled(rule(event("a"), "low"), rule(event("a"), "high", priority=99, mode="shadow"))).add(0, "a")
    assert kinds(log) == [("high", "shadow"), ("low", "suggested")]


@pytest.mark.parametrize("mode", ["draft", "off"])
def test_draft_and_off_do_nothing(mode):
    log = Log(compiled(rule(event("a"), mode=mode))).add(0, "a")
    assert log.effects == []


# --- arms


def test_the_control_arm_decides_and_is_shown_nothing():
    log = Log(compiled(rule(event("a"), holdout=1.0))).add(0, "a")
    (decision,) = log.decisions
    assert (decision.kind, decision.arm, decision.exposure, decision.suggestion) == ("control", "control", True, None)
    assert (log.suggestions, log.state.live) == ([], [])


def test_the_control_arm_counts_for_its_limits():
    log = Log(compiled(rule(event("a"), holdout=1.0, limits=Limits(per_session=1)))).all((0, "a"), (1, "a"))
    assert kinds(log) == [("r", "control"), ("r", Suppression.LIMIT_SESSION)]


def test_a_global_holdout_is_above_all_rules():
    log = Log(compiled(rule(event("a"), "r1"), rule(event("a"), "r2"), global_holdout=1.0)).add(0, "a")
    assert kinds(log) == [("r1", "control"), ("r2", "control")]


def test_an_arm_is_the_visitors_for_good():
    ruleset = compiled(rule(event("a"), holdout=0.5))
    for visitor in map("v{}".format, range(20)):
        log = Log(ruleset, visitor).all((0, "a"), (HOUR, "a"), (3 * HOUR, "a"))
        assert len({decision.arm for decision in log.decisions}) == 1


def test_arms_of_a_shared_salt_are_the_same():
    ruleset = compiled(*[rule(event("a"), name, holdout=0.5, salt="both") for name in ("r1", "r2")])
    for visitor in map("v{}".format, range(20)):
        one, other = Log(ruleset, visitor).add(0, "a").decisions
        assert one.arm == other.arm


def test_without_a_salt_the_rules_own_name_shuffles():
    ruleset = compiled(*[rule(event("a"), name, holdout=0.5) for name in ("r1", "r2")])
    arms = [[d.arm for d in Log(ruleset, f"v{index}").add(0, "a").decisions] for index in range(40)]
    assert any(one != other for one, other in arms)


def test_a_suppressed_decision_names_its_arm_too():
    log = Log(compiled(rule(event("a"), holdout=1.0, limits=Limits(per_session=0)))).add(0, "a")
    assert [(decision.kind, decision.arm) for decision in log.decisions] == [("suppressed", "control")]


def test_only_the_first_decision_is_the_exposure():
    log = Log(compiled(rule(event("a")))).all((0, "a"), (1, "a"))
    assert [decision.exposure for decision in log.decisions] == [True, False]


# --- priority


def test_the_highest_priority_wins_a_placement():
    log = Log(compiled(rule(event("a"), "low", priority=1), rule(event("a"), "high", priority=2))).add(0, "a")
    assert kinds(log) == [("high", "suggested"), ("low", Suppression.OUTRANKED)]


def test_another_placement_is_another_contest():
    other = content(placement="sidebar")
    log = Log(compiled(rule(event("a"), "low", priority=1, suggest=other), rule(event("a"), "high"))).add(0, "a")
    assert kinds(log) == [("high", "suggested"), ("low", "suggested")]


def test_a_tie_goes_to_the_higher_cost_avoided():
    outcomes = [outcome("cheap", event("x"), amount=Amount(1.0)), outcome("dear", event("y"), amount=Amount(9.0))]
    rules = [rule(event("a"), "a", prevents="cheap"), rule(event("a"), "b", prevents="dear")]
    assert kinds(Log(compiled(*rules, outcomes=outcomes)).add(0, "a")) == [
        ("b", "suggested"),
        ("a", Suppression.OUTRANKED),
    ]


def test_the_last_tie_goes_by_name():
    log = Log(compiled(rule(event("a"), "b"), rule(event("a"), "a"))).add(0, "a")
    assert kinds(log) == [("a", "suggested"), ("b", Suppression.OUTRANKED)]


def test_who_is_limited_outranks_nobody():
    log = Log(compiled(rule(event("a"), "high", priority=99, limits=Limits(per_session=0)), rule(event("a"), "low")))
    assert kinds(log.add(0, "a")) == [("high", Suppression.LIMIT_SESSION), ("low", "suggested")]


def test_who_has_a_hole_outranks_nobody():
    holed = rule(event("a"), "high", priority=99, suggest=content("{{ event.props.none }}"))
    log = Log(compiled(holed, rule(event("a"), "low"))).add(0, "a")
    assert kinds(log) == [("high", Suppression.TEMPLATE_FIELD_MISSING), ("low", "suggested")]


def test_who_is_in_control_outranks_nobody():
    log = Log(compiled(rule(event("a"), "high", priority=99, holdout=1.0), rule(event("a"), "low"))).add(0, "a")
    assert kinds(log) == [("high", "control"), ("low", "suggested")]


def test_who_was_outranked_may_come_next_time():
    log = Log(compiled(rule(event("a"), "low", limits=Limits(per_session=1)), rule(seen("a"), "high", priority=99)))
    assert kinds(log.all((0, "a"), (1, "a"))) == [
        ("high", "suggested"), ("low", Suppression.OUTRANKED), ("low", "suggested"),
    ]  # fmt: skip


# --- limits across time


def test_per_session_begins_anew_with_a_session():
    log = Log(compiled(rule(event("a"), limits=Limits(per_session=1)), options=SESSION_ENDS))
    log.all((0, "a"), (1, "a"), (2 * HOUR, "a"))
    assert kinds(log) == [("r", "suggested"), ("r", Suppression.LIMIT_SESSION), ("r", "suggested")]


@pytest.mark.parametrize(
    ("gap", "expected"), [(HOUR - 1, Suppression.COOLDOWN), (HOUR, "suggested"), (HOUR + 1, "suggested")]
)
def test_cooldown_goes_on_across_sessions(gap, expected):
    log = Log(compiled(rule(event("a"), limits=Limits(per_session=None, cooldown_ms=HOUR)), options=SESSION_ENDS))
    assert kinds(log.all((0, "a"), (gap, "a")))[-1] == ("r", expected)


def test_per_visitor_goes_on_across_sessions():
    limits = Limits(per_session=None, per_visitor=2)
    log = Log(compiled(rule(event("a"), limits=limits), options=SESSION_ENDS))
    log.all((0, "a"), (HOUR, "a"), (2 * HOUR, "a"))
    assert kinds(log)[-1] == ("r", Suppression.LIMIT_VISITOR)


def test_a_suppressed_firing_counts_for_no_limit():
    limits = Limits(per_session=None, cooldown_ms=HOUR)
    log = Log(compiled(rule(event("a"), limits=limits))).all((0, "a"), (HOUR - 1, "a"), (HOUR, "a"))
    assert kinds(log)[-1] == ("r", "suggested")


# --- room


def crowded(expires_ms: int = HOUR) -> Log:
    rules = [
        rule(event("a"), f"r{index}", suggest=content(placement=f"p{index}", expires_ms=expires_ms))
        for index in range(SUGGESTIONS_MAX)
    ]
    late = rule(event("b"), "late", suggest=content(placement="other"))
    return Log(compiled(*rules, late))


def test_there_is_room_for_eight():
    log = crowded().add(0, "a").add(1, "b")
    assert kinds(log)[-1] == ("late", Suppression.TOO_MANY_LIVE)
    assert len(log.state.live) == SUGGESTIONS_MAX


@pytest.mark.parametrize(("at", "expected"), [(99, Suppression.TOO_MANY_LIVE), (100, "suggested"), (101, "suggested")])
def test_what_has_expired_makes_room(at, expected):
    log = crowded(expires_ms=100).add(0, "a").add(at, "b")
    assert kinds(log)[-1] == ("late", expected)
    assert len(log.state.live) == SUGGESTIONS_MAX


def test_a_value_that_changed_is_not_looked_for_in_a_rule_without_limits():
    """The limits that tests leave out are indeed none."""
    log = Log(compiled(rule(event("a"), limits=UNLIMITED))).all(*[(index, "a") for index in range(5)])
    assert [decision.kind for decision in log.decisions] == ["suggested"] * 5


def test_a_condition_on_the_field_shown_is_no_condition_on_others():
    wanted = seen("search", where("props.results", "eq", 0))
    log = Log(compiled(rule(both(wanted, event("help")), suggest=content("{{ event.props.q }}"))))
    log.add(0, "search", props={"results": 0, "q": "refund"}).add(1, "search", props={"results": 9, "q": "lamp"})
    log.add(2, "help")
    assert log.suggestions[0].title == {"en": "refund"}
