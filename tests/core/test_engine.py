"""step() and tick(): sessions, consent, outcomes, withdrawals, and what becomes of each event."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount, Idle, Limits, Not, SessionTests
from streams.core.effects import EventResult, Suppression
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from streams.core.visitor import Visitor, encode_visitor
from tests.core.build import (
    DAY,
    HOUR,
    MINUTE,
    T0,
    Log,
    both,
    compiled,
    content,
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
    where,
)

# --- what becomes of an event


def test_an_event_without_rules_is_applied():
    log = Log(compiled()).add(0, "a")
    assert (log.results, log.effects, log.state.offset) == ([EventResult.APPLIED], [], 0)


def test_the_state_returned_is_the_state_given():
    ruleset = compiled()
    state, _, _ = step(None, Event(id="e", visitor="v", type="a", ts=T0), Position(0, T0), ruleset, T0)
    again, _, _ = step(state, Event(id="f", visitor="v", type="a", ts=T0), Position(1, T0), ruleset, T0)
    assert again is state
    assert tick(state, ruleset, T0)[0] is state


def test_a_shown_receipt_is_no_activity():
    """It is the site's act: it neither counts nor ends an idleness nor keeps a session alive."""
    log = Log(compiled(Idle(100), count("*", at_least=2))).add(0, "a").add(50, "suggestion_shown").tick(100)
    assert log.fired == [("r0", 100)]
    assert log.results == [EventResult.APPLIED] * 2


def test_a_clicked_receipt_is_activity():
    assert fires(seen("suggestion_clicked"), (0, "suggestion_clicked")) == [0]


# --- shedding: more events of one visitor in a minute of the log than a person makes

TWO = EngineOptions(visitor_events_per_minute_max=2)


def test_the_events_beyond_the_limit_are_shed_and_the_next_minute_is_applied():
    log = Log(compiled(rule(event("a")), options=TWO)).all((0, "a"), (1, "a"), (2, "a"), (MINUTE, "a"))
    assert log.results == [EventResult.APPLIED, EventResult.APPLIED, EventResult.SHED, EventResult.APPLIED]


def test_a_shed_event_leaves_no_trace():
    log = Log(compiled(rule(event("a")), options=TWO)).all((0, "a"), (1, "a"))
    row = encode_visitor(log.state)
    assert log.add(2, "a").last == []
    assert encode_visitor(log.state) == row


def test_a_shed_event_makes_no_outcome():
    log = Log(compiled(outcomes=[outcome(when=event("chat_opened"))], options=TWO))
    log.all((0, "chat_opened"), (1, "chat_opened"), (2, "chat_opened"))
    assert len(log.outcomes) == 2


def test_an_event_that_was_shed_is_applied_when_it_is_sent_again_later():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a")).add(2, "a", name="x").add(MINUTE, "a", name="x")
    assert log.results[2:] == [EventResult.SHED, EventResult.APPLIED]


def test_repeats_and_late_events_are_counted_too():
    """They cost a write of the row like any other."""
    log = Log(compiled(options=TWO)).add(0, "a", name="x").add(1, "a", name="x").add(2, "a")
    assert log.results == [EventResult.APPLIED, EventResult.DUPLICATE, EventResult.SHED]
    log = Log(compiled(options=TWO)).add(0, "a", ts=-HOUR).add(1, "a", ts=-HOUR).add(2, "a", ts=-HOUR)
    assert log.results == [EventResult.LATE, EventResult.LATE, EventResult.SHED]


def test_the_visitors_own_clock_does_not_get_around_the_limit():
    log = Log(compiled(options=TWO)).add(0, "a").add(1, "a", ts=-MINUTE).add(2, "a", ts=-2 * MINUTE)
    assert log.results[-1] is EventResult.SHED


def test_what_others_report_of_a_visitor_is_not_shed():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a"), (2, "a"))
    log.add(3, "phone_call", context={"source": "report"})
    assert log.results[-2:] == [EventResult.SHED, EventResult.REPORTED]


def test_a_consent_is_withdrawn_by_an_event_beyond_the_limit():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a")).add(2, "a", context={"consent": "denied"})
    assert (log.results[-1], log.state) == (EventResult.NO_CONSENT, None)


def test_a_consent_to_being_counted_that_a_shed_event_takes_back_stays():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a"))
    log.add(2, "a", context={"consent": {"personalization": True, "measurement": False}})
    assert (log.results[-1], log.state.unmeasured, log.state.offset) == (EventResult.SHED, True, 2)


def test_a_timer_that_is_due_fires_before_a_shed_event_and_the_row_says_how_far_it_is():
    log = Log(compiled(Idle(100), options=TWO)).all((0, "a"), (1, "a"), (101, "a"))
    assert (log.results[-1], log.at, log.state.offset) == (EventResult.SHED, [101], 2)
    assert log.state.due > T0 + 101


def test_without_a_limit_nothing_is_shed_nor_counted():
    log = Log(compiled(options=EngineOptions(visitor_events_per_minute_max=0)))
    for at in range(5):
        log.add(at, "a")
    assert set(log.results) == {EventResult.APPLIED}
    assert log.state.taken == 0


# --- sessions

TIMEOUT = EngineOptions(session_timeout_ms=1000)


def session_ids(*events, options=TIMEOUT) -> list[int]:
    """By number, the session of each event's decision."""
    log = Log(compiled(rule(event("a")), options=options))
    for at, fields in events:
        log.add(at, "a", **fields)
    names = [decision.session for decision in log.decisions]
    return [sorted(set(names), key=names.index).index(name) for name in names]


@pytest.mark.parametrize(("gap", "expected"), [(999, [0, 0]), (1000, [0, 1]), (1001, [0, 1])])
def test_a_session_is_cut_by_a_gap(gap, expected):
    assert session_ids((0, {}), (gap, {})) == expected


def test_the_gap_is_between_neighbours():
    assert session_ids((0, {}), (900, {}), (1800, {}), (2700, {})) == [0, 0, 0, 0]


def test_an_explicit_session_is_its_own():
    assert session_ids((0, {"session": "x"}), (1, {}), (2, {"session": "y"}), (3, {"session": "x"})) == [0, 1, 2, 0]


def test_an_explicit_session_keeps_its_name():
    log = Log(compiled(rule(event("a")))).add(0, "a", session="tab-7")
    assert log.decisions[0].session == "tab-7"


def test_an_implicit_session_has_a_name_that_can_be_made_again():
    names = {Log(compiled(rule(event("a"))), visitor).add(0, "a").decisions[0].session for visitor in ("v", "v", "w")}
    assert len(names) == 2


def test_a_visitor_named_like_a_session_is_not_that_session():
    assert session_ids((0, {}), (1, {"session": "s"}), (2, {})) == [0, 1, 0]


def test_conditions_are_of_one_session():
    assert fires(count("a", at_least=2), (0, "a"), (2000, "a"), options=TIMEOUT) == []
    log = Log(compiled(count("a", at_least=2))).add(0, "a", session="x").add(1, "a", session="y")
    assert log.at == []


def test_a_late_event_before_the_session_belongs_to_it():
    log = Log(compiled(rule(event("a")), options=TIMEOUT)).add(2000, "a").add(2000, "a", ts=1001)
    assert len(log.state.sessions) == 1
    assert (log.state.sessions[0].start, log.state.sessions[0].last) == (T0 + 1001, T0 + 2000)


def test_a_late_event_a_timeout_before_the_session_is_another():
    log = Log(compiled(rule(event("a")), options=TIMEOUT)).add(2000, "a").add(2000, "a", ts=1000)
    assert len(log.state.sessions) == 2


def test_sessions_end_by_time_alone():
    log = Log(compiled(options=TIMEOUT)).add(0, "a")
    assert len(log.tick(999).state.sessions) == 1
    assert log.tick(1000).state.sessions == []


def test_an_ended_session_leaves_its_neighbours():
    log = Log(compiled(options=TIMEOUT)).add(0, "a", session="x").add(500, "a", session="y").tick(1000)
    assert [session.id for session in log.state.sessions] == ["y"]


@pytest.mark.parametrize("events", [3, 4, 5])
def test_the_fifth_session_ends_the_one_silent_longest(events):
    log = Log(compiled())
    for index in range(events):
        log.add(index, "a", session=f"s{index}")
    assert [session.id for session in log.state.sessions] == [f"s{index}" for index in range(events)][-4:]


def test_the_end_of_a_session_that_has_to_go_is_the_same_after_a_crash():
    """Its moment must not come from a clock that wall time moves."""
    ids = []
    for clock in (10, 5000):
        log = Log(compiled(missing("b", "a", None)))
        for index in range(5):
            log.add(index, "a", session=f"s{index}", now=clock)
        ids.append([decision.id for decision in log.decisions])
    assert len(ids[0]) == 1
    assert ids[0] == ids[1]


# --- the session's own fields


def holds(field: str, operator: str, value, *events, **options) -> bool:
    """Whether the session passes the test after these events, each a dict of fields."""
    log = Log(compiled(both(SessionTests((where(field, operator, value),)), event("ask")), **options))
    for index, fields in enumerate(events):
        log.add(**{"at": index * 10, "kind": "page_view", **fields})
    return bool(log.add(len(events) * 10, "ask").at)


@pytest.mark.parametrize(
    ("field", "value", "fields"),
    [
        ("events", 3, [{}, {}]),
        ("page_views", 2, [{}, {}, {"kind": "x"}]),
        ("duration", 20, [{}, {}]),
        ("entry_path", "/in", [{"page": {"path": "/in"}}, {"page": {"path": "/next"}}]),
        ("entry_path", "/in", [{}, {"page": {"path": "/in"}}]),
        ("entry_path", "/in", [{"page": {"url": "https://shop.example/in?x=1"}}]),
        ("entry_path", "/in", [{"page": {"path": 7, "url": "x"}}, {"page": {"path": "/in"}}]),
        ("entry_path", "/in", [{"page": {"path": "/in"}}, {"at": 0, "page": {"path": "/same-moment"}}]),
        ("entry_path", "/in", [{"at": 10, "page": {"path": "/x"}}, {"at": 10, "ts": 5, "page": {"path": "/in"}}]),
        ("referrer_host", "news.example", [{"page": {"referrer": "https://news.example/a"}}]),
        ("referrer_host", "news.example", [{"page": {"referrer": "https://news.example/a"}}, {"page": {"path": "/"}}]),
        ("device", "mobile", [{"context": {"device": "mobile"}}]),
        ("country", "IT", [{"context": {"country": "DE"}}, {"context": {"country": "IT"}}]),
        ("locale", "it", [{"context": {"locale": "it"}}, {"context": {"locale": 7}}]),
        (
            "campaign.source",
            "n",
            [{"context": {"campaign": {"source": "n"}}}, {"context": {"campaign": {"source": "o"}}}],
        ),
        ("returning", False, [{}]),
        ("returning", True, [{"session": "earlier"}, {}]),
    ],
)
def test_session_fields(field, value, fields):
    assert holds(field, "eq", value, *fields)
    assert not holds(field, "ne", value, *fields)


@pytest.mark.parametrize(
    "page",
    [
        {"referrer": "https://[broken/"},
        {"referrer": 7},
        {"referrer": ""},
        {"referrer": "/relative"},
        {"url": "http://[x"},
    ],
)
def test_a_broken_address_is_no_address(page):
    assert holds("referrer_host", "exists", False, {"page": page})


@pytest.mark.parametrize("field", ["entry_path", "referrer_host", "device", "country", "locale", "campaign.source"])
def test_an_unknown_session_field_is_missing(field):
    assert holds(field, "exists", False, {})


def test_what_a_session_remembers_is_bounded():
    log = Log(compiled()).add(
        0, "page_view",
        page={"path": "/" + "x" * 2000, "referrer": "https://" + "y" * 2000 + ".example/"},
        context={
            "device": "d" * 999, "country": "c" * 999, "locale": "l" * 999,
            "campaign": {f"{index}" + "k" * 99: "v" * 999 for index in range(20)} | {"n": 7},
        },
    )  # fmt: skip
    (session,) = log.state.sessions
    assert len(session.entry_path) <= 256
    assert len(session.referrer_host) <= 256
    assert {len(session.device), len(session.country), len(session.locale)} == {64}
    assert len(session.campaign) <= 8
    assert all(len(name) <= 32 and len(value) <= 64 for name, value in session.campaign.items())


@pytest.mark.parametrize("campaign", ["news", 7, None, []])
def test_a_campaign_that_is_no_object_is_none(campaign):
    assert holds("campaign.source", "exists", False, {"context": {"campaign": campaign}})


def test_a_session_rule_fires_at_its_edge():
    third = SessionTests((where("events", "eq", 3),))
    assert fires(third, (0, "a"), (1, "b"), (2, "c"), (3, "d")) == [2]


# --- outcomes


def test_an_outcome_is_recorded_with_its_cost():
    log = Log(compiled()).add(5, "chat_opened", name="e7", session="s")
    (record,) = log.outcomes
    assert (record.outcome, record.kind, record.amount, record.currency) == ("chat", "anti_conversion", 6.5, "EUR")
    assert (record.visitor, record.session, record.at, record.trigger) == ("v", "s", T0 + 5, "e7")
    assert record.exposures == ()


def test_a_value_is_read_from_the_event():
    bought = outcome("purchase", event("purchase"), "conversion", amount=Amount(of="props.total", times=0.5))
    log = Log(compiled(outcomes=[bought])).add(0, "purchase", props={"total": 99.9}).add(1, "purchase")
    assert [record.amount for record in log.outcomes] == [49.95, 49.95]


def test_an_absence_is_worth_what_its_events_said():
    abandoned = outcome(
        "abandoned", missing("purchase", "checkout_started", None), amount=Amount(of="props.cart_total", times=0.1)
    )
    log = Log(compiled(outcomes=[abandoned]))
    log.add(0, "checkout_started", props={"cart_total": 50}).add(1, "checkout_started", props={"cart_total": 80})
    log.tick(2 * HOUR)
    assert [(record.amount, record.at - T0) for record in log.outcomes] == [(8.0, 30 * MINUTE + 1)]


def test_an_outcome_without_its_field_has_no_amount():
    bought = outcome("purchase", event("purchase"), "conversion", amount=Amount(of="props.total"))
    assert [record.amount for record in Log(compiled(outcomes=[bought])).add(0, "purchase").outcomes] == [None]


def test_several_outcomes_of_one_event_come_in_the_files_order():
    outcomes = [outcome("b", event("x")), outcome("a", event("x"))]
    log = Log(compiled(rule(event("x"), prevents="a"), outcomes=outcomes)).add(0, "x")
    assert [record.outcome for record in log.outcomes] == ["b", "a"]
    assert [type(effect).__name__ for effect in log.effects] == ["OutcomeRecord", "OutcomeRecord", "Decision"]


@pytest.mark.parametrize(("gap", "credited"), [(DAY - 1, ["r"]), (DAY, []), (DAY + 1, [])])
def test_an_outcome_credits_the_exposures_in_its_window(gap, credited):
    log = Log(compiled(rule(event("a")))).add(0, "a").add(gap, "chat_opened")
    assert [exposure.rule for exposure in log.outcomes[0].exposures] == credited


def test_both_arms_are_credited():
    log = Log(compiled(rule(event("a"), holdout=1.0))).add(0, "a").add(1, "chat_opened")
    assert [(exposure.rule, exposure.arm) for exposure in log.outcomes[0].exposures] == [("r", "control")]


def test_an_outcome_from_before_the_exposure_credits_nothing():
    log = Log(compiled(rule(event("a")))).add(HOUR, "a").add(HOUR, "chat_opened", ts=HOUR - 1)
    assert log.outcomes[0].exposures == ()


def test_a_late_outcome_credits_by_its_own_time():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(2 * DAY, "chat_opened", ts=HOUR)
    assert log.results[-1] is EventResult.LATE
    assert [record.at - T0 for record in log.outcomes] == [HOUR]


def test_a_late_outcome_names_its_own_session():
    log = Log(compiled()).add(HOUR, "x", session="now").add(HOUR, "chat_opened", ts=0, session="then")
    assert [record.session for record in log.outcomes] == ["then"]


def test_a_late_outcome_of_several_events_happens_once():
    either_way = outcome(when=either(event("chat_*"), event("chat_opened")))
    log = Log(compiled(outcomes=[either_way])).add(HOUR, "x").add(HOUR, "chat_opened", ts=0)
    assert len(log.outcomes) == 1


def test_a_late_event_whose_where_fails_is_no_outcome():
    paid = outcome("paid", event("purchase", where("props.total", "gt", 0)), "conversion")
    log = Log(compiled(outcomes=[paid])).add(HOUR, "x").add(HOUR, "purchase", ts=0, props={"total": 0})
    assert log.outcomes == []


def test_a_late_event_is_no_outcome_that_needs_others():
    twice = outcome("twice", count("x", at_least=1))
    assert Log(compiled(outcomes=[twice])).add(HOUR, "y").add(HOUR, "x", ts=0).outcomes == []


def test_a_late_event_of_an_unknown_visitor_counts_too():
    log = Log(compiled()).add(0, "chat_opened", now=HOUR)
    assert (log.results, len(log.outcomes)) == ([EventResult.LATE], 1)


def test_what_happened_cannot_be_prevented_any_more():
    log = Log(compiled(rule(event("chat_opened")))).add(0, "chat_opened")
    assert [decision.reason for decision in log.decisions] == [Suppression.OUTCOME_HAPPENED]


# --- withdrawal


def withdrawals(log: Log) -> list[tuple[str, str, int]]:
    return [(record.rule, record.reason, record.at - T0) for record in log.withdrawals]


def test_its_outcome_withdraws_a_suggestion():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(5, "chat_opened")
    assert withdrawals(log) == [("r", "outcome", 5)]
    assert log.withdrawals[0].suggestion == log.suggestions[0].id
    assert [live.expires - T0 for live in log.state.live] == [5]


def test_another_outcome_does_not():
    outcomes = [outcome(), outcome("call", event("call"))]
    log = Log(compiled(rule(event("a")), outcomes=outcomes)).add(0, "a").add(5, "call")
    assert withdrawals(log) == []


def test_the_outcome_that_a_rule_promotes_withdraws_too():
    bought = outcome("purchase", event("purchase"), "conversion")
    log = Log(compiled(rule(event("a"), prevents=None, promotes="purchase"), outcomes=[bought]))
    assert withdrawals(log.add(0, "a").add(5, "purchase")) == [("r", "outcome", 5)]


def test_an_outcome_by_timer_withdraws_too():
    left = outcome("left", missing("purchase", "cart", 100))
    log = Log(compiled(rule(event("a"), prevents="left"), outcomes=[left])).add(0, "cart").add(1, "a").tick(200)
    assert withdrawals(log) == [("r", "outcome", 100)]


def test_a_match_of_withdraw_withdraws():
    tracked = content(withdraw=matcher("order_tracked", where("props.ok", "eq", True)))
    log = Log(compiled(rule(event("a"), suggest=tracked))).add(0, "a").add(5, "order_tracked", props={"ok": False})
    assert withdrawals(log) == []
    assert withdrawals(log.add(6, "order_tracked", props={"ok": True})) == [("r", "withdraw", 6)]


def test_withdraw_may_look_at_what_changed():
    changed = content(withdraw=matcher("plan", where("props.n", "changed", True)))
    log = Log(compiled(rule(event("a"), suggest=changed))).add(0, "plan", props={"n": 1}).add(1, "a")
    assert withdrawals(log.add(2, "plan", props={"n": 1})) == []
    assert withdrawals(log.add(3, "plan", props={"n": 2})) == [("r", "withdraw", 3)]


def test_an_event_does_not_withdraw_what_it_led_to():
    loop = content(withdraw=matcher("a"))
    log = Log(compiled(rule(event("a"), suggest=loop))).add(0, "a")
    assert withdrawals(log) == []
    log.add(1, "a")
    assert [record.suggestion for record in log.withdrawals] == [log.suggestions[0].id]
    assert [live.id for live in log.state.live if live.expires > T0 + 1] == [log.suggestions[1].id]


def test_a_dismissal_withdraws_and_stops_the_rule():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "a")
    assert withdrawals(log) == [("r", "dismissed", 5)]
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_stops_the_rule_in_later_sessions():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).tick(10 * DAY).add(10 * DAY, "a")
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_may_be_declared_harmless():
    limits = Limits(per_session=None, stop_after_dismissal=False)
    log = Log(compiled(rule(event("a"), limits=limits))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "a")
    assert (withdrawals(log), log.decisions[-1].kind) == ([("r", "dismissed", 5)], "suggested")


def test_a_dismissal_leaves_other_rules_alone():
    log = Log(compiled(rule(event("a"), "r1"), rule(event("b"), "r2"))).add(0, "a").add(1, "b")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "b")
    assert withdrawals(log) == [("r1", "dismissed", 5)]
    assert log.decisions[-1].kind == "suggested"


@pytest.mark.parametrize("props", [{}, {"suggestion": "unknown"}, {"suggestion": None}, {"suggestion": ["x"]}])
def test_a_dismissal_of_nothing_does_nothing(props):
    log = Log(compiled(rule(event("a")))).add(0, "a").add(5, "suggestion_dismissed", props=props).add(6, "a")
    assert (withdrawals(log), log.decisions[-1].kind) == ([], "suggested")


def test_a_dismissal_just_after_expiry_is_a_no_all_the_same():
    brief = content(expires_ms=100)
    log = Log(compiled(rule(event("a"), suggest=brief))).add(0, "a")
    log.add(150, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(151, "a")
    assert withdrawals(log) == []
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_counts_however_late_it_comes():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(HOUR, "x")
    log.add(HOUR, "suggestion_dismissed", ts=5, props={"suggestion": log.suggestions[0].id}).add(HOUR + 1, "a")
    assert log.results[-2] is EventResult.LATE
    assert log.decisions[-1].reason is Suppression.DISMISSED


@pytest.mark.parametrize("kind", ["suggestion_clicked", "suggestion_dismissed"])
def test_a_receipt_without_a_session_belongs_to_the_visit_that_goes_on(kind):
    log = Log(compiled()).add(0, "a", session="old").add(10, "a", session="tab").add(20, kind)
    assert [(session.id, session.events) for session in log.state.sessions] == [("old", 1), ("tab", 2)]


def test_a_receipt_with_nothing_going_on_begins_a_visit():
    assert len(Log(compiled()).add(0, "suggestion_clicked").state.sessions) == 1


@pytest.mark.parametrize(("at", "expected"), [(99, [("r", "outcome", 99)]), (100, []), (101, [])])
def test_what_has_expired_needs_no_withdrawal(at, expected):
    log = Log(compiled(rule(event("a"), suggest=content(expires_ms=100)))).add(0, "a").add(at, "chat_opened")
    assert withdrawals(log) == expected


def test_a_suggestion_of_a_rule_that_is_gone_is_left_to_expire():
    log = Log(compiled(rule(event("a"), suggest=content(withdraw=matcher("b"))))).add(0, "a")
    log.recode().ruleset = compiled()
    assert withdrawals(log.add(1, "b").add(2, "chat_opened")) == []


def test_no_consent_withdraws_everything():
    other = content(placement="p2")
    log = Log(compiled(rule(event("a"), "r1"), rule(event("a"), "r2", suggest=other))).add(0, "a")
    log.add(5, "x", context={"consent": "denied"})
    assert withdrawals(log) == [("r1", "no_consent", 5), ("r2", "no_consent", 5)]


# --- timers and rows


def test_a_tick_with_nothing_due_changes_nothing():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a")
    due = log.state.due
    assert log.tick(50).effects == []
    assert log.state.due == due == T0 + 100


def test_the_earliest_timer_is_the_rows():
    log = Log(compiled(missing("b", "a", 300), missing("b", "a", 100), Idle(200))).add(0, "a", session="x")
    log.add(50, "z", session="y")
    assert [log.state.due - T0] + [log.tick(log.state.due - T0).state.due - T0 for _ in range(3)] == [
        100,
        200,
        250,
        300,
    ]


def test_timers_of_several_sessions_fire_in_order():
    log = Log(compiled(missing("b", "a", 100)))
    log.add(0, "a", session="x").add(10, "a", session="y").add(20, "a", session="x").tick(500)
    assert [(decision.session, decision.at - T0) for decision in log.decisions] == [("x", 100), ("y", 110), ("x", 120)]


def test_a_timer_of_a_rule_that_is_gone_is_forgotten():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a")
    log.recode().ruleset = compiled()
    assert log.tick(200).effects == []
    assert log.state.due - T0 == 30 * MINUTE


def test_a_rule_that_is_gone_holds_nothing_up():
    log = Log(compiled(rule(seen("a"), "old"))).add(0, "a")
    log.recode().ruleset = compiled(rule(both(seen("a"), seen("b")), "new"))
    assert log.add(1, "a").add(2, "b").fired == [("old", 0), ("new", 2)]


def test_a_history_of_a_rule_that_is_gone_keeps_no_row():
    log = Log(compiled(rule(event("a"), limits=Limits(cooldown_ms=90 * DAY)))).add(0, "a")
    log.recode().ruleset = compiled()
    log.tick(5 * DAY)
    assert log.state is None


def test_a_window_that_runs_out_is_noticed_by_a_timer():
    quiet = both(seen("a"), never("b", within=100))
    log = Log(compiled(quiet)).all((0, "b"), (1, "a"), (50, "b"))
    assert log.tick(500).at == [150]


def test_a_rule_of_a_sequence_that_has_run_out():
    over = both(seen("a"), Not(sequence("a", "b", within=100)))
    assert fires(over, (0, "a"), (10, "b"), until=500) == [0, 100]


def test_a_tick_of_a_visitor_without_anything():
    state, effects = tick(Visitor(visitor="v", clock=T0), compiled(), T0)
    assert (state is not None, effects) == (True, [])
    assert tick(state, compiled(), state.due)[0] is None
