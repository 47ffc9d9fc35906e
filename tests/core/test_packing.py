"""A state packed for its row: what is small, and that nothing is lost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packing import TIME_END, TIME_MIN, Tables, at, pack_visitor
from streams.core.session import NEVER, Session, Visitor
from streams.core.visitor import Exposure, History, LiveSuggestion, decode_visitor, encode_visitor

START = 1_790_000_000_000
_INT64 = 1 << 63

numbers = (
    st.integers(-10, 300)
    | st.integers(START, START + 3_600_000)
    | st.integers(-_INT64, 2 * _INT64 - 1)
    | st.sampled_from([
        edge + step for edge in (TIME_MIN, -TIME_MIN, TIME_END, NEVER, 0) for step in (-1, 0, 1)
    ])
)
scalars = numbers | st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5)
states = st.lists(scalars | st.lists(scalars | st.lists(scalars, max_size=3), max_size=4), max_size=6)
keys = st.integers(0, 2**32 - 1)
sessions = st.builds(
    Session,
    id=st.text(max_size=3), start=numbers, last=numbers, states=st.dictionaries(keys, states, max_size=5),
    holding=st.lists(keys, max_size=3), fired=st.dictionaries(keys, st.integers(0, 100), max_size=3),
    timers=st.dictionaries(keys, numbers, max_size=4), due=numbers,
)  # fmt: skip


exposures = st.builds(
    Exposure, rule=st.text(max_size=3), version=st.text(max_size=3), arm=st.sampled_from(["treated", "control"]),
    at=numbers, variant=st.none() | st.text(max_size=3), target=st.text(max_size=3),
    credits=st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 2**40), max_size=2), max_size=2),
)  # fmt: skip
names = st.text(max_size=3) | st.text("0123456789abcdefA ", min_size=20, max_size=20)
live = st.builds(
    LiveSuggestion, id=names, rule=st.text(max_size=3), expires=numbers,
    variant=st.none() | st.text(max_size=3), answered=st.integers(0, 15),
)  # fmt: skip
histories = st.builds(History, times=st.lists(numbers, max_size=4), dismissed=numbers)
visitors = st.builds(
    Visitor, visitor=st.just("v"), sessions=st.lists(sessions, max_size=2),
    exposures=st.lists(exposures, max_size=3), live=st.lists(live, max_size=3),
    history=st.dictionaries(st.text(max_size=3), histories, max_size=3), programme=st.none() | exposures,
    journeys=st.dictionaries(keys, states, max_size=2),
)  # fmt: skip


def packed(**fields):
    """(times, session) of a visitor with one session."""
    body = pack_visitor(Visitor(sessions=[Session("s", 0, 0, due=0, **fields)]))
    return body[4], body[5][0]


@given(visitors)
def test_whatever_a_state_holds_comes_back_as_it_was(state):
    read = decode_visitor("v", encode_visitor(state))
    assert read == state
    # 1 == True == 1.0: the kinds come back, too.
    assert [repr(session.states) for session in read.sessions] == [repr(session.states) for session in state.sessions]
    assert repr(read.journeys) == repr(state.journeys)


@given(visitors)
def test_what_comes_back_is_written_as_the_same_bytes(state):
    row = encode_visitor(state)
    assert encode_visitor(decode_visitor("v", row)) == row


def test_a_time_that_many_conditions_remember_is_written_once():
    once = encode_visitor(Visitor("v", sessions=[Session("s", START, START, states={1: [START]})]))
    often = encode_visitor(Visitor("v", sessions=[Session("s", START, START, states={1: [START] * 11})]))
    assert len(often) - len(once) == 10


def test_times_are_written_as_differences():
    times, _ = packed(states={1: [START, START + 7], 2: [START + 3]}, timers={2: START + 10})
    assert times == [START, 7, -4, 7]


def test_a_hash_that_many_conditions_remember_is_written_once():
    times, session = packed(states={1: [START, 2**63], 2: [START + 7, 2**63]})
    assert (times, session[14]) == ([START, b"\x00\x80" + bytes(7), 7], [[1, 3], [5, 3]])


def test_keys_that_have_a_state_are_named_by_its_place():
    _, session = packed(states={70: [1], 80: [1]}, holding=[90], fired={90: 2, 80: 1}, timers={80: 3})
    assert (session[13], session[15:18]) == ([70, 80, 90], [[2], [2, 2, 1, 1], [1, 6]])


def test_the_name_of_a_rule_is_written_once():
    state = Visitor(
        exposures=[Exposure("a-rule", "1", "control", START)], live=[LiveSuggestion("i", "a-rule", START)],
        history={"a-rule": History([START], 0)},
    )  # fmt: skip
    assert encode_visitor(state).count(b"a-rule") == 1


def test_an_id_is_written_in_half_its_digits():
    assert pack_visitor(Visitor(live=[LiveSuggestion("0a" * 10, "r", 0)]))[7][0][0] == b"\x0a" * 10


def test_packing_leaves_the_state_alone():
    session = Session("s", START, START, states={1: [START, [2, True]]}, timers={1: START})
    encode_visitor(Visitor("v", sessions=[session]))
    assert (session.states, session.timers) == ({1: [START, [2, True]]}, {1: START})


@pytest.mark.parametrize("place", [-1, 1])
def test_a_place_that_is_in_no_table_is_refused(place):
    tables = Tables(["text"], [START])
    for read in (lambda: at([5], place), lambda: tables.number(2 * place + 1), lambda: tables.text(place)):
        with pytest.raises(msgspec.DecodeError, match=f"place {place} of a table of 1"):
            read()


def test_an_id_that_is_neither_text_nor_bytes_is_refused():
    with pytest.raises(msgspec.DecodeError, match="an id of kind int"):
        Tables([], []).name(5)
