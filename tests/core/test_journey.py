"""Journeys: what is told when, in any order of arrival, beside a slow reference; the laws of the engine for them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from streams.core.effects import Journey
from streams.core.funnel_totals import FunnelLine, count_journey
from streams.core.journey import BUFFER_MAX
from streams.core.ruleset import EngineOptions
from streams.core.session import NEVER
from tests.core.build import DAY, HOUR, MINUTE, T0, Log, compiled, event, folded, funnel, outcome, rule

LATENESS = 10 * MINUTE
TIMEOUT = 30 * MINUTE


def log_of(*steps: str, options: EngineOptions | None = None, **fields: Any) -> Log:
    return Log(compiled(funnels=(funnel(*(steps or "abcd"), **fields),), options=options))


def line(log: Log) -> FunnelLine:
    (found,) = folded(log.effects).values()
    return found


def steps(log: Log) -> list[tuple[int, ...]]:
    return [one.steps for one in log.of(Journey)]


def test_each_step_is_told_when_it_is_reached():
    log = log_of().all((0, "a"), (1000, "click"), (2000, "b"), (3000, "b"), (4000, "page_view"), (9000, "d"))
    told = log.of(Journey)
    assert [one.steps for one in told] == [(0, 0, 0), (0, 0, 0, 1, 2000, 1), (0, 0, 0, 1, 2000, 1, 3, 9000, 2)]
    assert [one.before for one in told] == [(), (0, 0, 0), (0, 0, 0, 1, 2000, 1)]
    assert [(one.ended, one.arm, one.size, one.session) for one in told] == [
        (False, "treated", 4, log.state.sessions[0].id)
    ] * 3
    assert [step.skipped for step in line(log).steps] == [0, 0, 1, 0]


def test_only_the_first_step_begins_a_journey():
    assert log_of().all((0, "b"), (1, "c"), (2, "click")).of(Journey) == []


def test_the_visit_s_end_ends_the_journey_and_says_where_it_went():
    log = log_of().all((0, "a"), (1, "b"))
    log.add(2, "page_view", page={"path": "/orders/A-17/help"}).add(3, "page_view", page={"path": "/else"})
    last = log.tick(HOUR).of(Journey)[-1]
    assert (last.ended, last.instead, last.at) == (True, "/orders/*/help", T0 + 3 + TIMEOUT)
    assert line(log).steps[1].instead == {"/orders/*/help": 1}
    assert line(log).entered == line(log).ended == 1


def test_an_outcome_is_where_it_went():
    log = log_of().all((0, "a"), (1, "chat_opened")).add(2, "page_view", page={"path": "/x"}).tick(HOUR)
    assert log.of(Journey)[-1].instead == "outcome:chat"


def test_an_outcome_by_timer_is_where_it_went():
    from tests.core.build import missing  # noqa: PLC0415

    made = compiled(outcomes=(outcome("lost", missing("d", "a", None)),), funnels=(funnel("a", "d"),))
    assert Log(made).all((0, "a")).tick(HOUR).of(Journey)[-1].instead == "outcome:lost"


@pytest.mark.parametrize("page", [{}, {"path": 7}, {"path": ""}, {"path": "/a\nb"}])
def test_a_page_without_a_path_is_nowhere(page):
    log = log_of().all((0, "a")).add(1, "page_view", page=page).tick(HOUR)
    assert log.of(Journey)[-1].instead == ""
    assert line(log).steps[0].instead == {"left": 1}


@pytest.mark.parametrize("path", ["outcome:chat", "left", "other"])
def test_a_path_cannot_pass_for_an_outcome(path):
    log = log_of().all((0, "a")).add(1, "page_view", page={"path": path}).tick(HOUR)
    assert log.of(Journey)[-1].instead == f"/{path}"


def test_after_the_last_step_another_journey_may_begin():
    log = log_of("a", "b").all((0, "a"), (5, "b"), (6, "b"), (7, "a"), (9, "b")).tick(HOUR)
    found = line(log)
    assert (found.entered, found.completed, found.ended, found.whole.ms) == (2, 2, 2, 7)
    assert [one.at - T0 for one in log.of(Journey) if one.ended] == [5, 9]


def test_within_ends_a_journey_that_outlives_the_visit():
    log = log_of("a", "b", "c", within_ms=2 * HOUR).all((0, "a"), (HOUR, "b"), (2 * HOUR, "c"))
    assert [one.steps for one in log.of(Journey)] == [(0, 0, 0), (0, 0, 0, 1, HOUR, 0)]
    log.tick(2 * HOUR + LATENESS - 1)
    assert not any(one.ended for one in log.of(Journey))
    ended = log.tick(2 * HOUR + LATENESS).of(Journey)[-1]
    assert (ended.ended, ended.at, ended.session) == (True, T0 + 2 * HOUR, "")
    assert log.state.journeys
    log.tick(DAY * 40)
    assert log.state is None


def test_a_row_waits_for_its_journey():
    log = log_of("a", "b", within_ms=3 * DAY).all((0, "a")).recode().tick(2 * DAY)
    assert log.state is not None
    assert log.state.due == T0 + 3 * DAY + LATENESS
    log.add(2 * DAY + 5, "b")
    assert line(log).completed == 1
    log.tick(4 * DAY)
    assert log.state is None
    assert line(log).ended == 1


def test_an_event_after_everything_ended_begins_anew():
    log = log_of("a", "b", within_ms=MINUTE).all((0, "a"), (DAY * 50, "a"))
    assert (line(log).entered, line(log).ended) == (2, 1)


def test_a_late_first_step_takes_back_what_was_told():
    log = log_of("a", "b", within_ms=5 * MINUTE).all((4 * MINUTE, "a"), (6 * MINUTE, "b"))
    assert line(log).completed == 1
    log.add(7 * MINUTE, "a", ts=0)
    assert (line(log).entered, line(log).completed, line(log).steps[0].reached) == (1, 0, 1)


def test_a_late_last_step_can_make_two_journeys_of_one():
    log = log_of("a", "b").all((0, "a"), (10, "a"))
    assert line(log).entered == 1
    assert line(log.add(20, "b", ts=5)).entered == 2


def test_a_late_click_is_counted_where_it_was():
    log = log_of("a", "b").all((0, "a"), (50, "b"))
    assert line(log.add(60, "click", ts=20)).whole.clicks == 1
    assert line(log.add(61, "click", ts=55)).whole.clicks == 1


def test_an_event_that_is_too_late_counts_for_nothing():
    log = log_of("a", "b").all((0, "a")).add(LATENESS + 1, "b", ts=0)
    assert steps(log) == [(0, 0, 0)]


def test_duplicates_and_replays_count_once():
    log = log_of("a", "b").add(0, "a", name="x").add(1, "a", name="x").add(2, "b", name="y")
    before = len(log.effects)
    log.add(2, "b", name="y", offset=2)
    assert len(log.effects) == before
    assert (line(log).entered, line(log).completed) == (1, 1)


def test_ids_of_an_ending_do_not_depend_on_what_noticed_it():
    def ended(log: Log) -> list[str]:
        return [one.id for one in log.of(Journey) if one.ended]

    by_timer = log_of("a", "b", within_ms=MINUTE).all((0, "a")).tick(20 * MINUTE)
    by_event = log_of("a", "b", within_ms=MINUTE).all((0, "a"), (20 * MINUTE, "click"))
    assert len(ended(by_timer)) == 1
    assert ended(by_timer) == ended(by_event)


def test_two_explicit_sessions_have_journeys_of_their_own():
    log = log_of("a", "b").add(0, "a", session="one").add(0, "a", session="two").add(5, "b", session="two").tick(HOUR)
    assert (line(log).entered, line(log).completed) == (2, 1)
    told = log.of(Journey)
    assert len({one.id for one in told}) == len(told)


def test_an_edited_funnel_starts_anew_and_an_unchanged_one_goes_on():
    log = log_of("a", "b").all((0, "a"))
    log.ruleset = compiled(rule(event("x")), funnels=(funnel("a", "b", name="buy"),))
    assert line(log.add(1, "b")).completed == 1
    log.ruleset = compiled(funnels=(funnel("a", "c"),))
    log.add(2, "a").add(3, "c").tick(HOUR)
    assert sorted((one.entered, one.completed) for one in folded(log.effects).values()) == [(1, 1), (1, 1)]


def test_a_long_journey_of_an_edited_funnel_is_forgotten():
    log = log_of("a", "b", within_ms=HOUR).all((0, "a"))
    log.ruleset = compiled(funnels=(funnel("a", "c", within_ms=HOUR),))
    log.add(1, "a").tick(HOUR + LATENESS + 1)
    assert log.state is None
    assert sorted(one.ended for one in folded(log.effects).values()) == [0, 1]


def test_a_funnel_that_is_gone_keeps_no_row():
    log = log_of("a", "b", within_ms=90 * DAY).all((0, "a"))
    log.ruleset = compiled()
    assert log.tick(DAY * 2).state is None


def test_the_buffer_is_bounded_and_what_it_held_is_counted():
    log = log_of("a", "b").all((0, "a"), *((number, "click") for number in range(1, 200)), (300, "b"))
    (state,) = log.state.sessions[0].states.values()
    assert len(state[2]) == BUFFER_MAX
    assert line(log).whole.clicks == 199
    log.add(301, "a", ts=0)  # from before what is folded already
    assert line(log).entered == 1


def test_without_funnels_nothing_is_kept():
    log = Log(compiled(rule(event("a")))).all((0, "a"), (1, "chat_opened"), (2, "page_view"))
    assert log.of(Journey) == []
    assert log.state.journeys == {}
    assert log.state.sessions[0].states == {}


def test_an_event_that_no_funnel_hears_changes_nothing():
    assert log_of("a", "b").all((0, "nothing")).state.sessions[0].states == {}


# --- beside a slow reference -------------------------------------------------------------------------------------

Seen = tuple[int, str, str]  # time, type, path
KINDS = ["a", "b", "c", "d", "click", "page_view", "chat_opened", "other"]


def reference(seen: list[Seen], within: int | None) -> FunnelLine:
    """The line, from the whole history: all journeys, each worked out by the definition."""
    found = FunnelLine("buy", "", "treated")
    ordered = sorted(seen, key=lambda one: (one[0], one[1] in "abcd", one[1]))
    for visit in [ordered] if within else visits(ordered):
        rest = visit
        while any(kind == "a" for _, kind, _ in rest):
            begin = next(index for index, one in enumerate(rest) if one[1] == "a")
            start = rest[begin][0]
            journey = [one for one in rest[begin:] if within is None or one[0] < start + within]
            kinds = [kind for _, kind, _ in journey]
            firsts = {kind: kinds.index(kind) for kind in "abcd" if kind in kinds}
            if "d" in firsts:
                journey = journey[: firsts["d"] + 1]
                firsts = {kind: at for kind, at in firsts.items() if at < len(journey)}
            rest = rest[begin + len(journey) :]
            told = []
            for kind, at in sorted(firsts.items(), key=lambda one: one[1]):
                clicks = sum(k in ("click", "page_view") for _, k, _ in journey[: at + 1])
                told += ["abcd".index(kind), journey[at][0] - start, clicks]
            after = journey[max(firsts.values()) + 1 :]
            places = [
                path if kind == "page_view" else "outcome:chat"
                for _, kind, path in after if kind in ("page_view", "chat_opened")
            ]  # fmt: skip
            whole = Journey(
                "", "", "", "buy", "", "treated", 1, 4, tuple(told), (), True, "" if "d" in firsts else [*places, ""][0]
            )
            count_journey(found, whole)
    return found


def visits(ordered: list[Seen]) -> list[list[Seen]]:
    done: list[list[Seen]] = []
    for one in ordered:
        if not done or one[0] - done[-1][-1][0] >= TIMEOUT:
            done.append([])
        done[-1].append(one)
    return done


def history(draw: random.Random) -> list[Seen]:
    seen: list[Seen] = []
    at = 0
    for _ in range(draw.randrange(1, 4)):
        for _ in range(draw.randrange(1, 14)):
            at += draw.randrange(1, 3 * MINUTE)
            seen.append((at, draw.choice(KINDS), f"/{draw.choice('xyz')}"))
        at += draw.randrange(50, 200) * MINUTE
    return seen


def counted(found: FunnelLine) -> Any:
    """All that the order of arrival has no part in."""
    return found.entered, found.ended, found.completed, found.whole, found.steps


@pytest.mark.parametrize("within", [None, 7 * MINUTE, 2 * HOUR, 2 * DAY])
@pytest.mark.parametrize("block", range(4))
def test_any_order_of_arrival_is_counted_as_the_reference_does(within, block):
    for seed in range(block * 75, block * 75 + 75):
        draw = random.Random(seed)
        seen = history(draw)
        arrivals = sorted((ts + draw.randrange(LATENESS // 2), number) for number, (ts, _, _) in enumerate(seen))
        log = log_of(within_ms=within)
        for at, number in arrivals:
            ts, kind, path = seen[number]
            log.add(at, kind, ts=ts, name=f"n{number}", page={"path": path})
            if draw.random() < 0.3:
                log.recode()
            if draw.random() < 0.1:
                log.add(at, kind, ts=ts, name=f"n{number}")  # again
            if draw.random() < 0.3:
                log.tick(at + draw.randrange(MINUTE))
        log.tick(10 * DAY)
        want = reference(seen, within)
        got = next(iter(folded(log.effects).values()), FunnelLine("buy", "", "treated"))
        assert counted(got) == counted(want), seed
        assert log.state is None or log.state.due != NEVER
        told = log.of(Journey)
        assert len({one.id for one in told}) == len(told)


# --- consent ----------------------------------------------------------------------------------------------------

ONLY_SHOW = {"consent": {"personalization": True, "measurement": False}}


@pytest.mark.parametrize("within", [None, HOUR])
def test_who_may_not_be_measured_makes_no_journey(within):
    log = log_of("a", "b", within_ms=within)
    log.add(0, "a", context=ONLY_SHOW).add(1, "chat_opened", context=ONLY_SHOW).add(2, "b", context=ONLY_SHOW)
    assert log.tick(DAY).of(Journey) == []


@pytest.mark.parametrize("within", [None, HOUR])
def test_a_journey_of_who_takes_it_back_stays_begun_and_never_ends(within):
    log = log_of("a", "b", within_ms=within).add(0, "a").add(1, "b", context=ONLY_SHOW).tick(DAY)
    assert (line(log).entered, line(log).completed, line(log).ended) == (1, 0, 0)


@pytest.mark.parametrize("within", [None, HOUR])
def test_a_late_word_on_it_counts_too(within):
    log = log_of("a", "b", within_ms=within).add(0, "a").add(20 * MINUTE, "x", ts=0, context=ONLY_SHOW).tick(DAY)
    assert (line(log).entered, line(log).ended) == (1, 0)


def test_a_page_without_a_path_concerns_a_funnel_without_clicks_not_at_all():
    assert log_of("a", "b", clicks=()).add(0, "page_view").state.sessions[0].states == {}
