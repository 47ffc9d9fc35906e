"""Frustration signals: each at its thresholds, in threes, out of order, and within its bounds."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.definition import SignalName
from streams.core.event import Event
from streams.core.signals import SignalLeaf, SignalOptions, detector
from streams.core.visitor import NEVER, Session
from tests.core.build import MINUTE, Log, both, compiled, fires, seen

END = 60 * MINUTE


def signal(name, *events, within=None, until=None):
    return fires(d.Signal(SignalName(name), within), *events, until=until)


def click(at, element="buy", **props):
    return (at, "click", {"element": element, **props})


def page(log: Log, at: int, path: str, **fields) -> Log:
    return log.add(at, "page_view", page={"path": path}, **fields)


# --- rage_click


@pytest.mark.parametrize(("last", "fired"), [(749, True), (750, False), (751, False)])
def test_four_clicks_on_one_element_in_750_ms(last, fired):
    assert signal("rage_click", click(0), click(200), click(400), click(last)) == ([last] if fired else [])


def test_clicks_elsewhere_do_not_count():
    assert signal("rage_click", click(0), click(1, "x"), click(2), click(3, "x"), click(4), click(5, "x")) == []
    assert signal("rage_click", *[(at, "click") for at in range(9)]) == []


def test_a_rage_uses_its_clicks_up():
    assert signal("rage_click", *[click(at * 10) for at in range(9)]) == [30, 70]


def test_a_late_click_completes_a_rage():
    log = Log(compiled(d.Signal(SignalName.RAGE_CLICK)))
    for at in (0, 100, 300):
        log.add(at, "click", props={"element": "buy"})
    assert log.add(400, "click", ts=200, props={"element": "buy"}).at == [200]


# --- dead_click


@pytest.mark.parametrize(("answer", "fired"), [(2499, []), (2500, [2500]), (2501, [2500])])
def test_a_click_that_nothing_follows_is_dead(answer, fired):
    assert signal("dead_click", click(0), (answer, "page_view"), until=END) == fired


def test_clicks_are_no_answer_to_a_click():
    assert signal("dead_click", click(0), click(1000), until=END) == [2500, 3500]


def test_the_client_knows_best():
    assert signal("dead_click", click(0, dead=True)) == [0]
    assert signal("dead_click", click(0, dead=False), until=END) == []


def test_a_late_click_that_was_answered_is_not_dead():
    log = Log(compiled(d.Signal(SignalName.DEAD_CLICK)))
    assert log.add(1000, "page_view").add(1100, "click", ts=500).tick(END).at == []
    later = Log(compiled(d.Signal(SignalName.DEAD_CLICK)))
    assert later.add(1000, "page_view").add(9000, "search").add(9100, "click", ts=1500).tick(END).at == []


# --- error_click


@pytest.mark.parametrize(("gap", "fired"), [(999, True), (1000, False), (1001, False)])
def test_an_error_right_after_a_click(gap, fired):
    assert signal("error_click", click(0), (gap, "js_error")) == ([gap] if fired else [])


def test_an_error_before_the_click_has_another_cause():
    assert signal("error_click", (0, "js_error"), click(10)) == []


# --- u_turn


@pytest.mark.parametrize(("back", "fired"), [(9_999, True), (10_000, False), (10_001, False)])
def test_back_at_once(back, fired):
    log = Log(compiled(d.Signal(SignalName.U_TURN)))
    page(page(page(log, 0, "/a"), 50, "/b"), back, "/a")
    assert log.at == ([back] if fired else [])


def test_a_reload_is_no_u_turn_and_time_is_counted_from_leaving():
    log = Log(compiled(d.Signal(SignalName.U_TURN)))
    page(page(page(log, 0, "/a"), 50, "/a"), 60, "/a").add(70, "page_view")
    assert log.at == []
    page(page(page(log, 20_000, "/a"), 20_100, "/b"), 20_200, "/a")
    assert log.at == [20_200]


def test_to_and_fro_is_a_u_turn_each_time_back():
    log = Log(compiled(d.Signal(SignalName.U_TURN)))
    for at, path in enumerate(["/a", "/b", "/a", "/b", "/a"]):
        page(log, at, path)
    assert log.at == [2, 4]


# --- form_abandon


def form(log: Log, at: int, kind="form_input", path="/checkout", name="address") -> Log:
    return log.add(at, kind, page={"path": path}, props={"form": name})


def abandon() -> Log:
    return Log(compiled(d.Signal(SignalName.FORM_ABANDON)))


def test_another_page_leaves_the_form():
    assert page(page(form(abandon(), 0), 10, "/checkout"), 20, "/cart").at == [20]


def test_a_submitted_form_is_not_left():
    assert page(form(form(abandon(), 0), 10, "form_submit"), 20, "/cart").tick(END).at == []


def test_another_forms_submit_does_not_help():
    assert page(form(form(abandon(), 0), 10, "form_submit", name="search"), 20, "/cart").at == [20]


@pytest.mark.parametrize(("until", "fired"), [(30 * MINUTE - 1, []), (30 * MINUTE, [30 * MINUTE])])
def test_the_sessions_end_leaves_the_form(until, fired):
    assert form(abandon(), 0, "form_focus").tick(until).at == fired


def test_an_input_from_before_the_submit_that_comes_late():
    log = form(form(abandon(), 0), 50, "form_submit")
    log.add(60, "form_input", ts=20, page={"path": "/checkout"}, props={"form": "address"})
    assert page(log, 100, "/cart").at == []


# --- search_refine


def search(at, query):
    return (at, "search", {"query": query})


@pytest.mark.parametrize(("gap", "fired"), [(59_999, True), (60_000, False), (60_001, False)])
def test_another_search_within_a_minute(gap, fired):
    assert signal("search_refine", search(0, "refund"), search(gap, "refund status")) == ([gap] if fired else [])


def test_the_same_words_are_no_refinement():
    assert signal("search_refine", search(0, "Refund "), search(10, "refund"), (20, "search")) == []


@pytest.mark.parametrize(
    "looked", [(5, "product_view"), (5, "result_click"), (5, "click", {"element": "x", "result": 3})]
)
def test_a_result_that_was_looked_at_ends_it(looked):
    assert signal("search_refine", search(0, "a"), looked, search(10, "b"), search(20, "c")) == [20]


def test_each_refinement_counts():
    assert signal("search_refine", search(0, "a"), search(10, "b"), search(20, "c")) == [10, 20]


# --- thrash


@pytest.mark.parametrize(("last", "fired"), [(4_999, True), (5_000, False), (5_001, False)])
def test_three_pages_in_a_rush(last, fired):
    assert signal("thrash", (0, "page_view"), (10, "page_view"), (last, "page_view")) == ([last] if fired else [])


def test_the_client_saw_it():
    assert signal("thrash", (0, "thrash"), (10, "thrash")) == [0, 10]


# --- all of them


@pytest.mark.parametrize(("at", "fired"), [(99, True), (100, False), (101, False)])
def test_within(at, fired):
    condition = both(d.Signal(SignalName.THRASH, 100), seen("b"))
    assert fires(condition, (0, "thrash"), (at, "b")) == ([at] if fired else [])


def test_a_negated_signal_rises_when_it_is_over():
    condition = both(seen("b"), d.Not(d.Signal(SignalName.THRASH, 100)))
    assert fires(condition, (0, "thrash"), (10, "b"), until=END) == [100]


def test_thresholds_are_options():
    leaf = SignalLeaf(1, detector(SignalName.RAGE_CLICK, SignalOptions(rage_clicks=2)), None)
    session = Session(id="s", start=0, last=0)
    fed = [
        leaf.feed(session, 1, at, Event(id="e", visitor="v", type="click", ts=at, props={"element": 1}))
        for at in (0, 100)
    ]
    assert fed == [0, 3]


@pytest.mark.parametrize("name", SignalName)
def test_a_leaf_that_has_seen_nothing(name):
    leaf = SignalLeaf(1, detector(name, SignalOptions()), 100)
    session = Session(id="s", start=0, last=0)
    assert not leaf.holds(session, 0)
    assert leaf.next_change(session) == NEVER
    assert leaf.wake(session, 10, True) == 0


@pytest.mark.parametrize("name", SignalName)
def test_the_state_is_bounded(name):
    """Ten thousand events of every kind; nested lists counted by their items."""
    leaf = SignalLeaf(1, detector(name, SignalOptions()), None)
    session = Session(id="s", start=0, last=0)
    bits = [mask for _, mask in leaf.detector.matchers]
    for at in range(1000):
        session.last = at
        props = {"element": at, "query": str(at // 2), "form": at}
        mask = bits[0] if at % 7 else bits[-1]
        leaf.feed(session, mask, at, Event(id="e", visitor="v", type="x", ts=at, props=props, page={"path": f"/{at}"}))

    def items(value) -> int:
        return sum(map(items, value)) if isinstance(value, list) else 1

    assert items(session.states[1]) <= leaf.bound()
