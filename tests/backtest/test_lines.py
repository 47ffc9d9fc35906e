# ruff: noqa: UP031 - the braces of JSON and those of a format string do not go together
"""The short way through a line gives what the long way gives, less what nobody looks at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.backtest.interest import Interest
from streams.backtest.lines import line_reader
from streams.backtest.play import in_time, play, play_quietly
from streams.core import definition as d
from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from streams.replay import ReplayOptions, event_of_line
from tests.core import build, programs


def interest(*conditions: d.Condition) -> Interest:
    return Interest([build.compiled(*conditions)])


EVERYTHING = interest(
    build.event("*", build.where("page.path", "eq", "/")), build.event("*", build.where("context.device", "eq", "x"))
)
PLAIN = ReplayOptions()
MAPPED = ReplayOptions(
    columns={"visitor": "user", "ts": "when", "type": "action", "path": "where"}, props="more",
    rename={"view": "page_view"}, default_type="unknown",
)  # fmt: skip
DOTTED = ReplayOptions(columns={"visitor": "user.id", "ts": "ts", "type": "type"})
BASE = '"visitor":"v","type":"a","ts":1700000000000'


@pytest.mark.parametrize(
    "line",
    [
        "{%s}" % BASE,
        '{%s,"props":{"n":%d}}' % (BASE, 10**25),
        '{%s,"props":{"n":"\\ud800"}}' % BASE,
        '{%s,"props":{"n":1e400}}' % BASE,
        '{%s,"props":{"n":NaN}}' % BASE,
        '{%s,"props":{"a":1,"a":2}}' % BASE,
        '{%s,"props":[1]}' % BASE,
        '{%s,"props":null,"page":"x","context":7}' % BASE,
        '{%s,"visitor":"w"}' % BASE,
        '{%s,"visitor":7}' % BASE,
        '{%s,"visitor":""}' % BASE,
        '{%s,"visitor":"%s"}' % (BASE, "v" * 129),
        '{%s,"session":"%s"}' % (BASE, "s" * 129),
        '{%s,"session":""}' % BASE,
        '{%s,"id":""}' % BASE,
        '{%s,"id":"%s"}' % (BASE, "i" * 65),
        '{%s,"id":17}' % BASE,
        '{%s,"type":null}' % BASE,
        '{%s,"type":"!!"}' % BASE,
        '{%s,"type":"Product Viewed"}' % BASE,
        '{%s,"ts":1e300}' % BASE,
        '{%s,"ts":%d}' % (BASE, 10**30),
        '{%s,"ts":-5}' % BASE,
        '{%s,"ts":1700000000}' % BASE,
        '{%s,"ts":"2022-10-25T07:49:55Z"}' % BASE,
        '{%s,"ts":"yesterday"}' % BASE,
        '{%s,"ts":true}' % BASE,
        '{%s,"path":"/a?b=1","url":"https://shop.example/x#y"}' % BASE,
        '{%s,"page":{"path":"/x#s","q":"a@b.co"}}' % BASE,
        '{%s,"page":{"path":"/x","title":"a"},"path":"/y"}' % BASE,
        '{%s,"props":{"t":"+39 333 1234567","c":4111111111111111,"d":"4111 1111 1111 1111"}}' % BASE,
        '{%s,"props":{"t":"\\u002b39 333 1234567"}}' % BASE,
        '{%s,"props":{"l":[{"mail":"a@b.co"}]}}' % BASE,
        '{%s,"props":{"q":"perché no"},"context":{"consent":false,"device":"mobile"}}' % BASE,
        '{%s,"props":%s}' % (BASE, '{"a":' * 9 + "1" + "}" * 9),
        '{%s,"props":{%s}}' % (BASE, ",".join(f'"k{n}":1' for n in range(70))),
        '{%s,"props":{"s":"%s"}}' % (BASE, "x" * 3000),
        "[]", "no json", '{"visitor":"v"}', '{"ts":1700000000000,"type":"a"}', "{%s} x" % BASE,
        '{"user":"v","action":"view","when":1700000000,"where":"/a","more":{"n":1}}',
        '{"user":{"id":"v"},"type":"a","ts":1700000000,"user.id":"w"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [PLAIN, MAPPED, DOTTED], ids=["plain", "mapped", "dotted"])
def test_both_ways_agree(line: str, options: ReplayOptions) -> None:
    raw = line.encode()
    assert line_reader(options, EVERYTHING)(raw, 3) == event_of_line(raw, 3, options)


def test_bytes_that_are_not_utf8() -> None:
    raw = b'{"visitor":"v","type":"a","ts":1700000000000,"props":{"q":"\xff"}}'
    nothing = interest(build.event("never_sent"))
    assert line_reader(PLAIN, nothing)(raw, 3) == event_of_line(raw, 3, PLAIN)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["a@b.co", "+39 333 1234567", "/a?b=c#d", "4111111111111111"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(["a", "path", "url", "q"]), values, max_size=4)
lines = st.fixed_dictionaries(
    {"visitor": st.sampled_from(["v", "w"]) | values, "type": st.sampled_from(["a", "b", "B c"]) | values},
    optional={
        "ts": st.sampled_from([1_700_000_000_000, 1_700_000_000, "2022-10-25T07:49:55Z"]) | values,
        "id": values, "session": values, "path": values, "url": values, "props": objects | values,
        "page": objects | values, "context": objects | values,
    },
)  # fmt: skip


@given(lines, st.booleans())
def test_both_ways_agree_on_anything(row: dict[str, Any], ascii_only: bool) -> None:
    try:
        raw = json.dumps(row, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    assert line_reader(PLAIN, EVERYTHING)(raw, 3) == event_of_line(raw, 3, PLAIN)


# --- what is left out makes no difference --------------------------------------------------------------------------


def whole_and_lean(history: list[Any], conditions: list[d.Condition]) -> None:
    ruleset = build.compiled(*conditions, options=EngineOptions(session_timeout_ms=programs.TIMEOUT))
    wanted = Interest([ruleset])
    read = line_reader(PLAIN, wanted)
    whole: list[Event] = []
    lean: list[Event] = []
    for number, seen in enumerate(history):
        row = {
            "id": f"e{number}", "visitor": "v", "type": seen.type, "ts": build.T0 + seen.ts, "session": seen.session,
            "path": "/p", "props": dict(dict(seen.props)), "context": {"device": "mobile"},
        }  # fmt: skip
        raw = json.dumps(row).encode()
        for made, events in ((event_of_line(raw, 1, PLAIN), whole), (read(raw, 1), lean)):
            assert isinstance(made, Event)
            events.append(made)
    whole.sort(key=in_time)
    lean.sort(key=in_time)
    expected = play(whole, ruleset)
    found = play_quietly(lean, wanted, ruleset) or play(lean, ruleset)
    assert found.sessions == expected.sessions
    assert dict(found.results) == dict(expected.results)
    assert found.decisions == expected.decisions
    assert found.outcomes == expected.outcomes


@given(programs.histories, st.lists(programs.conditions, min_size=1, max_size=3))
def test_lean_events_decide_the_same(history: list[Any], conditions: list[d.Condition]) -> None:
    whole_and_lean(history, conditions)


@given(programs.histories_with_sessions, st.lists(programs.conditions, min_size=1, max_size=2))
def test_lean_events_of_named_sessions_decide_the_same(history: list[Any], conditions: list[d.Condition]) -> None:
    whole_and_lean(history, conditions)


@given(programs.histories | programs.histories_with_sessions)
def test_a_visitor_whom_nobody_hears_is_not_played(history: list[Any]) -> None:
    whole_and_lean(history, [build.event("never_sent")])


def quietly(*events: Event) -> object:
    ruleset = build.compiled(build.event("never_sent"))
    return play_quietly(events, Interest([ruleset]), ruleset)


def test_who_is_left_to_the_engine() -> None:
    def event(number: int, **given: Any) -> Event:
        return Event(f"e{number}", "v", "a", build.T0 + number, **given)

    assert quietly(event(1), event(2)) is not None
    assert quietly(event(1), event(1)) is None  # a duplicate
    assert quietly(event(1, context={"consent": False})) is None
    assert quietly(*(event(n, session=f"s{n}") for n in range(5))) is None
    assert quietly(Event("e", "v", "suggestion_clicked", build.T0)) is None
    waiting = build.compiled(d.Idle(1000))
    assert play_quietly([event(1)], Interest([waiting]), waiting) is None


def test_what_withdraws_a_suggestion_is_heard() -> None:
    withdrawing = build.rule(build.event("search"), suggest=build.content(withdraw=build.matcher("order_tracked")))
    wanted = Interest([build.compiled(withdrawing)])
    names = ("search", "chat_opened", "order_tracked", "suggestion_clicked", "noise")
    heard = [name for name in names if wanted.hears(name)]
    assert heard == ["search", "chat_opened", "order_tracked", "suggestion_clicked"]


def test_pages_and_contexts_are_read_where_a_rule_looks_at_them() -> None:
    def looks(condition: d.Condition) -> tuple[bool, bool]:
        wanted = interest(condition)
        return wanted.pages, wanted.contexts

    assert looks(build.event("search")) == (False, False)
    assert looks(build.event("search", build.where("page.path", "eq", "/"))) == (True, False)
    assert looks(d.SessionTests((build.where("entry_path", "eq", "/"),))) == (True, False)
    assert looks(d.SessionTests((build.where("country", "eq", "IT"),))) == (False, True)
