"""What is counted besides decisions: outcomes with their credit, receipts, late and reported outcomes."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount, Limits, Price, Variant
from streams.core.effects import EventResult, Receipt, Suppression
from streams.core.ruleset import EngineOptions
from tests.core.build import DAY, HOUR, MINUTE, T0, Log, compiled, content, count, event, outcome, rule

REPORT = {"source": "report"}
ONCE = Limits()


def receipts(log: Log) -> list[tuple[str, str]]:
    return [(record.kind, record.suggestion) for record in log.of(Receipt)]


def answer(log: Log, at: int, kind: str, suggestion: str, **fields) -> Log:
    return log.add(at, f"suggestion_{kind}", props={"suggestion": suggestion}, **fields)


# --- outcomes


def test_a_record_says_which_exposures_it_is_credited_to_and_what_they_had_before():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(1, "chat_opened").add(2, "chat_opened")
    first, second = log.outcomes
    assert [(one.rule, one.arm, one.before, one.before_micros) for one in first.exposures] == [("r", "treated", 0, 0)]
    assert [(one.before, one.before_micros) for one in second.exposures] == [(1, 6_500_000)]
    assert (first.programme.before, second.programme.before) == (0, 1)
    assert first.programme.rule == "programme"


def test_credits_outlive_a_restart():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(1, "chat_opened").recode().add(2, "chat_opened")
    assert [one.before for one in log.outcomes[1].exposures] == [1]


def test_an_outcome_outside_every_session_is_credited_within_its_own_window():
    calls = [outcome("call", event("call"), attribution_ms=2 * DAY), outcome()]
    log = Log(compiled(rule(event("a")), outcomes=calls)).add(0, "a")
    log.add(DAY, "chat_opened").add(DAY + 1, "call").add(2 * DAY, "call")
    assert [len(record.exposures) for record in log.outcomes] == [0, 1, 0]
    assert [record.programme is None for record in log.outcomes] == [True, False, True]


def test_the_price_in_force_when_it_happened_counts():
    dear = outcome(amount=Amount(6.5), prices=(Price(T0 + HOUR, Amount(7.2)),))
    log = Log(compiled(outcomes=[dear])).add(0, "chat_opened").add(HOUR, "chat_opened")
    log.add(2 * HOUR, "x").add(2 * HOUR, "chat_opened", ts=HOUR - 1)
    assert [record.amount for record in log.outcomes] == [6.5, 7.2, 6.5]
    assert [record.price[:3] for record in log.outcomes] == ["6.5", "7.2", "6.5"]


# --- exposures


def test_the_programme_is_exposed_once_by_the_global_holdout():
    rules = [rule(event("a"), "r1"), rule(event("b"), "r2")]
    log = Log(compiled(*rules)).add(0, "a").add(1, "b").add(2, "a")
    assert [decision.programme for decision in log.decisions] == ["treated", None, None]
    held = Log(compiled(*rules, global_holdout=1.0)).add(0, "a")
    assert [(decision.arm, decision.programme) for decision in held.decisions] == [("control", "control")]
    own = Log(compiled(rule(event("a"), holdout=1.0))).add(0, "a")
    assert [(decision.arm, decision.programme) for decision in own.decisions] == [("control", "treated")]


def test_an_exposure_is_forgotten_when_nothing_can_be_credited_any_more():
    memory = 4 * DAY
    log = Log(compiled(rule(event("a")))).add(0, "a").add(memory - 1, "a").add(memory, "a")
    assert [decision.exposure for decision in log.decisions] == [True, False, True]
    assert [decision.programme for decision in log.decisions] == ["treated", None, "treated"]
    assert len(log.state.exposures) == 1


@pytest.mark.parametrize("after", ["dismissed", None])
def test_who_said_no_is_exposed_again_as_others_are(after):
    """Else the control arm, which cannot say no, would grow faster."""
    log = Log(compiled(rule(event("a")))).add(0, "a")
    if after:
        answer(log, 1, after, log.suggestions[0].id)
    log.add(4 * DAY, "a")
    assert [decision.exposure for decision in log.decisions] == [True, True]
    assert log.decisions[1].reason is (Suppression.DISMISSED if after else None)


def test_a_no_is_said_before_other_limits_and_exposes_nobody_then():
    log = Log(compiled(rule(event("a"), limits=ONCE))).add(0, "a")
    answer(log, 1, "dismissed", log.suggestions[0].id).add(2, "a")
    assert [(decision.reason, decision.exposure) for decision in log.decisions] == [
        (None, True),
        (Suppression.DISMISSED, False),
    ]


def test_a_no_is_heard_in_shadow_mode():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    answer(log, 1, "dismissed", log.suggestions[0].id)
    log.ruleset = compiled(rule(event("a"), mode="shadow"))
    assert log.add(2, "a").decisions[-1].reason is Suppression.DISMISSED


# --- receipts


def test_a_receipt_counts_once_of_each_kind():
    log = Log(compiled(rule(event("a")), nudge_cost=0.02)).add(0, "a")
    name = log.suggestions[0].id
    for at, kind in enumerate(("shown", "shown", "clicked", "clicked", "dismissed", "dismissed"), 1):
        answer(log, at, kind, name)
    assert receipts(log) == [("shown", name), ("clicked", name), ("dismissed", name)]
    assert [record.cost_micros for record in log.of(Receipt)] == [20_000, 0, 0]
    assert len({record.id for record in log.of(Receipt)}) == 3


def test_a_receipt_says_the_variant():
    variants = (Variant("only", 1.0, (("en", "x"),)),)
    log = Log(compiled(rule(event("a"), suggest=content(variants=variants)))).add(0, "a")
    assert answer(log, 1, "shown", log.suggestions[0].id).of(Receipt)[0].variant == "only"


def test_a_receipt_of_an_unknown_suggestion_counts_nothing():
    assert receipts(answer(Log(compiled(rule(event("a")))).add(0, "a"), 1, "shown", "other")) == []


def test_a_receipt_counts_after_the_suggestion_was_withdrawn():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(1, "chat_opened")
    assert receipts(answer(log, 2, "shown", log.suggestions[0].id)) == [("shown", log.suggestions[0].id)]


def test_a_suggestion_is_withdrawn_once_though_an_earlier_outcome_comes_later():
    log = Log(compiled(rule(event("a"), suggest=content(expires_ms=HOUR)))).add(0, "a")
    log.add(20 * MINUTE, "chat_opened").add(21 * MINUTE, "chat_opened", ts=5)
    assert [record.at - T0 for record in log.withdrawals] == [20 * MINUTE]


def test_a_late_receipt_counts():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(20 * MINUTE, "x")
    answer(log, 20 * MINUTE, "clicked", log.suggestions[0].id, ts=1)
    assert (log.results[-1], [kind for kind, _ in receipts(log)]) == (EventResult.LATE, ["clicked"])


# --- late and reported outcomes


def test_a_report_counts_for_outcomes_and_for_nothing_else():
    log = Log(compiled(count("chat_opened", at_least=1))).add(0, "x").add(1, "chat_opened", context=REPORT)
    assert (log.results[-1], len(log.outcomes), log.fired) == (EventResult.REPORTED, 1, [])
    assert log.state.sessions[0].events == 1


def test_a_report_days_later_is_credited_to_the_exposure_of_then():
    log = Log(compiled(rule(event("a")))).add(0, "a").tick(2 * DAY)
    log.add(3 * DAY, "chat_opened", ts=HOUR, context=REPORT)
    assert [len(record.exposures) for record in log.outcomes] == [1]


@pytest.mark.parametrize("context", [REPORT, {}])
@pytest.mark.parametrize("late", [3 * DAY, 3 * DAY + 1, 9_000 * DAY])
def test_however_late_an_outcome_is_told_of_it_counts_once(context, late):
    log = Log(compiled()).add(late, "x").add(late, "chat_opened", name="call-1", ts=0, context=context)
    assert len(log.outcomes) == 1
    for number in range(40):  # more than the ring of recent ids holds
        log.add(late + number, "x")
    log.add(late + 2 * DAY, "chat_opened", name="call-1", ts=0, context=context)
    assert (log.results[-1], len(log.outcomes)) == (EventResult.DUPLICATE, 1)


def test_an_outcome_of_before_what_is_remembered_is_credited_to_nothing():
    log = Log(compiled(rule(event("a")))).add(9 * DAY, "a")
    log.add(9 * DAY + 1, "chat_opened", ts=0, context=REPORT)
    assert [(record.at, record.exposures) for record in log.outcomes] == [(T0, ())]


@pytest.mark.parametrize("context", [REPORT, {}])
def test_a_repeated_report_is_known_for_as_long_as_it_may_come(context):
    log = Log(compiled()).add(HOUR, "chat_opened", name="call-1", ts=0, context=context)
    for number in range(40):  # more than the ring of recent ids holds
        log.add(2 * HOUR + number, "x")
    log.add(2 * DAY, "chat_opened", name="call-1", ts=0, context=context)
    assert (log.results[-1], len(log.outcomes)) == (EventResult.DUPLICATE, 1)
    log.tick(HOUR + 3 * DAY)
    assert log.state is not None
    log.tick(HOUR + 3 * DAY + 1000)
    assert log.state is None


def test_reports_do_not_drive_recent_ids_out():
    log = Log(compiled()).add(0, "chat_opened", name="mine")
    for number in range(40):
        log.add(1 + number, "chat_opened", context=REPORT)
    assert log.add(50, "chat_opened", name="mine").results[-1] is EventResult.DUPLICATE


def test_a_report_without_a_word_on_consent_leaves_the_visitors_own_in_force():
    denied = EngineOptions(consent_default=False)
    log = Log(compiled(options=denied)).add(0, "x", context={"consent": True})
    log.add(1, "chat_opened", context=REPORT)
    assert (log.results[-1], len(log.outcomes)) == (EventResult.REPORTED, 1)
    stranger = Log(compiled(options=denied)).add(0, "chat_opened", context=REPORT)
    assert (stranger.results, stranger.state) == ([EventResult.NO_CONSENT], None)
    assert log.add(2, "chat_opened", context={**REPORT, "consent": False}).state is None
