"""A draft rule for a finding: a file that `avert rules check`, `test` and `backtest` take as it is.

It fires at what the finding saw, has two tests that follow from it, a control group, and mode `draft`: nothing happens
to anybody until a person has written what the suggestion says, and has turned it on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from streams.impact.case.lanes import Lane
from streams.impact.case.steps import TEXT_CHARS_MAX, Antecedent, label_of
from streams.rulefiles.values import LINE_CHARS_MAX, write_duration

_HOLDOUT: Final = "10%"
_ID_CHARS_MAX: Final = 52  # of the 64 that a rule's id may have: room for a number behind it
_STEP_S: Final = 10  # between the events of a test
_OTHER: Final = "something else"
_ANYWHERE: Final = "/somewhere-else"
_BETWEEN_WORDS: Final = r"[\s\pP\pS_]+"
_AROUND: Final = r"[\s\pP\pS_]*"

_PLAIN: Final = re.compile(r"[a-z][a-z_]*")
_RESERVED: Final = frozenset({"true", "false", "null"})

Fields = dict[str, Any]


class Draft(NamedTuple):
    """A rule's id, and its file."""

    rule: str
    text: str


class _Shape(NamedTuple):
    """A condition as YAML flow text, events after which it fires, and events after which it does not."""

    condition: str
    fires: list[Fields]
    silent: list[Fields]


def drafts_of(found: Iterable[tuple[Antecedent, Lane, str, str | None]]) -> list[Draft]:
    """A draft for each (antecedent, outcome, what was seen in words, a page that helped or None)."""
    taken: set[str] = set()
    made = []
    for one, lane, seen, page in found:
        base = re.sub(r"[^a-z0-9]+", "-", f"case {label_of(one)}".lower())[:_ID_CHARS_MAX].strip("-")
        rule = next(name for number in range(1, 10_000) if (name := f"{base}-{number}" if number > 1 else base)
                    not in taken)  # fmt: skip
        taken.add(rule)
        made.append(Draft(rule, _text(rule, one, lane, seen, page)))
    return made


def _text(rule: str, one: Antecedent, lane: Lane, seen: str, page: str | None) -> str:
    shape = _SHAPES[one.kind](one)
    before = [{"event": sorted(lane.after)[0]}] if lane.after else []
    parts = [f"seen: {_flow({'event': sorted(lane.after)})}"] if lane.after else []
    ends = sorted(lane.defining - lane.after - {one.type})
    parts += [shape.condition, *([f"never: {_flow({'event': ends})}"] if ends else [])]
    title = label_of(one)
    lines = [
        f"# Drafted by `avert case`: {_comment(seen)}.",
        "# What came before need not be the cause: the control group will say. Write the texts, then set the mode.",
        f"rule: {rule}",
        f"title: {_flow(f'{title}: then {lane.label}'[:LINE_CHARS_MAX])}",
        f"prevents: {lane.outcome}",
        "mode: draft",
        "when:",
        "  all:",
        *(f"    - {part}" for part in parts),
        "suggest:",
        "  placement: help-banner",
        '  title: {en: "Looking for an answer?"}',
        f"  action: {{label: {{en: \"See what helped others\"}}, href: {_flow(page or '/help')}}}",
        "limits: {per_session: 1, per_visitor: {count: 2, within: 7d}}",
        f"experiment: {{holdout: {_HOLDOUT}}}",
        "tests:",
        *_test("as it was seen", [*before, *shape.fires], fires=True),
        *_test("nearly, but not quite", [*before, *shape.silent], fires=False),
    ]
    return "\n".join(lines) + "\n"


def _test(name: str, events: list[Fields], *, fires: bool) -> list[str]:
    at_ms = -_STEP_S * 1000
    rows = []
    for event in events:
        fields = dict(event)
        at_ms = max(at_ms + fields.pop("+ms", _STEP_S * 1000), 0)
        rows.append((at_ms, fields))
    expected = f"{{fires: at {write_duration(rows[-1][0])}}}" if fires else "silent"
    return [
        f"  - name: {name}",
        "    events:",
        *(f"      - {{at: {write_duration(at)}, {_flow(fields)[1:]}" for at, fields in rows),
        f"    expect: {expected}",
    ]


def _flow(value: Any) -> str:
    """A value as YAML in one line; what could be read as something else stands in quotes, which JSON's are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return _flow(value[0]) if len(value) == 1 else f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _RESERVED:
        return value
    # Characters that YAML does not take as they are, JSON escapes.
    return json.dumps(value, ensure_ascii=not str(value).isprintable())


def _comment(text: str) -> str:
    return " ".join(text.split())


# --- shapes -------------------------------------------------------------------------------------------------------


def words_pattern(query: str) -> str:
    """A regular expression of RE2 for every query that `query_of` makes this one of."""
    words = _BETWEEN_WORDS.join(re.escape(word) for word in query.split())
    return rf"(?i)^{_AROUND}{words}{_AROUND if len(query) < TEXT_CHARS_MAX - 1 else ''}" + (
        "$" if len(query) < TEXT_CHARS_MAX - 1 else ""
    )


def message_pattern(message: str) -> str:
    """A regular expression of RE2 for every message that `message_of` makes this one of."""
    words = r"\s+".join(r"\d+".join(map(re.escape, word.split("*"))) for word in message.split())
    return rf"^\s*{words}" + (r"\s*$" if len(message) < TEXT_CHARS_MAX - 1 else "")


def _seen(matcher: Fields) -> str:
    return f"seen: {_flow(matcher)}"


def _search(one: Antecedent, empty: bool) -> _Shape:
    where: Fields = {"results": 0 if empty else {"ne": 0}}
    if one.text:
        where["query"] = {"matches": words_pattern(one.text)}
    matcher = {"event": "search", "where": where}
    event = {"event": "search", "query": one.text or "refund"}
    hit, miss = {**event, "results": 0 if empty else 5}, {**event, "results": 5 if empty else 0}
    if one.times == 1:
        return _Shape(_seen(matcher), [hit], [miss])
    return _Shape(_count(matcher, one.times), [hit] * one.times, [hit] * (one.times - 1) + [miss])


def _count(matcher: Fields, times: int) -> str:
    return f"{{count: {_flow(matcher)}, at_least: {times}}}"


def _valued(kind: str, **values: Any) -> _Shape:
    """An event of which fields have these values: (test, an example)."""
    where = {name: test for name, (test, _) in values.items()}
    hit = {"event": kind, **{name: example for name, (_, example) in values.items()}}
    return _Shape(_seen({"event": kind, "where": where}), [hit], [{**hit, list(values)[-1]: _OTHER}])


def _same(text: str) -> tuple[Fields, str]:
    return {"eq": text}, text


def _page_test(page: str) -> list[str]:
    return [page] if page == "/" else [page, f"{page}/"]


def _page_event(page: str) -> Fields:
    return {"event": "page_view", "page.path": page.replace("*", "1")}


def _page(one: Antecedent) -> _Shape:
    matcher = {"event": "*", "where": {"page.path": _page_test(one.text)}}
    return _Shape(_seen(matcher), [_page_event(one.text)], [_page_event(_ANYWHERE)])


def _path(one: Antecedent) -> _Shape:
    pages = one.text.split(" > ")
    steps: list[Fields] = []
    for before, page in zip([None, *pages], pages, strict=False):
        known = [] if before is None else [*_page_test(before), *_page_test(page)]
        if known and not any("*" in name for name in known):  # `not_in` knows no patterns: a detour is then allowed
            steps.append({"not": {"event": "*", "where": {"page.path": {"exists": True, "not_in": known}}}})
        steps.append({"event": "*", "where": {"page.path": _page_test(page)}})
    events = [_page_event(page) for page in pages]
    return _Shape(f"{{sequence: {_flow(steps)}}}", events, [*events[:-1], _page_event(_ANYWHERE)])


def _event(one: Antecedent) -> _Shape:
    matcher, event = {"event": one.text}, {"event": one.text}
    if one.times == 1:
        return _Shape(_seen(matcher), [event], [_page_event(_ANYWHERE)])
    return _Shape(_count(matcher, one.times), [event] * one.times, [event] * (one.times - 1))


# Events that make each signal with the thresholds as they come; "+ms": so long after the one before.
_SIGNALS: Final[dict[str, list[Fields]]] = {
    "rage_click": [{"event": "click", "element": "pay", "+ms": 100}] * 4,
    "dead_click": [{"event": "click", "element": "pay", "dead": True}],
    "error_click": [{"event": "click", "element": "pay", "dead": False}, {"event": "js_error", "+ms": 200}],
    "u_turn": [{**_page_event(path), "+ms": 3_000} for path in ("/a", "/b", "/a")],
    "form_abandon": [{"event": "form_focus", "form": "address"}, _page_event("/a")],
    "search_refine": [{"event": "search", "query": query} for query in ("refund", "refund status")],
    "thrash": [{"event": "thrash"}],
}


def _signal(one: Antecedent) -> _Shape:
    return _Shape(f"signal: {one.text}", _SIGNALS[one.text], [_page_event(_ANYWHERE)])


def _help(one: Antecedent) -> _Shape:
    return _page(one) if one.type == "*" else _valued("help_view", topic=_same(one.text))


def _form(one: Antecedent) -> _Shape:
    form, _, field = one.text.partition(": ")
    return _valued("form_error", form=_same(form), field=_same(field))


_SHAPES: Final[dict[str, Callable[[Antecedent], _Shape]]] = {
    "empty_search": lambda one: _search(one, empty=True),
    "search": lambda one: _search(one, empty=False),
    "help": _help,
    "error": lambda one: _valued(
        "js_error", message=({"matches": message_pattern(one.text)}, one.text.replace("*", "1"))
    ),
    "form_error": _form,
    "product": lambda one: _valued("product_view", sku=_same(one.text)),
    "event": _event,
    "page": _page,
    "path": _path,
    "signal": _signal,
}
