"""The oracle's own words: a difference that it cannot tell of is one that nobody finds."""

from __future__ import annotations

from streams.core.effects import EventResult
from streams.core.visitor import Exposure, Visitor, encode_visitor
from tests.chaos.oracle import Expected, Found, differences


def _found(**rows: bytes) -> Found:
    return Found(effects={}, rows=rows, repeats=0, contradictions=[])


def _visitor(**fields: object) -> Visitor:
    state = Visitor("v", offset=3, exposures=[Exposure("r", "1", "treated", 5)])
    for name, value in fields.items():
        setattr(state, name, value)
    return state


def test_equal_ends_have_no_differences() -> None:
    want = Expected(visitors={"v": _visitor()})
    want.results[EventResult.APPLIED] += 1
    assert differences(want, _found(v=encode_visitor(_visitor()))) == []


def test_a_row_that_differs_is_told_by_its_fields() -> None:
    want = Expected(visitors={"v": _visitor()})
    other = _visitor(visits=7, exposures=[Exposure("r", "1", "control", 5)])
    head, told = differences(want, _found(v=encode_visitor(other)))
    assert head == "rows other than expected: 1 of 1"
    assert "visits: want 0, found 7" in told
    assert "'arm': 'control'" in told
    assert "offset" not in told


def test_rows_that_are_missing_and_rows_too_many_are_named() -> None:
    want = Expected(visitors={"v": _visitor()})
    assert differences(want, _found(w=b"")) == ["rows: 1 missing ['v'], 1 too many ['w']"]
