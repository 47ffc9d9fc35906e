"""A state packed for its row: what is small, and that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packing import FAR, ITSELF, NEAR_START, TIME_END, TIME_MIN, pack_visitor
from streams.core.session import NEVER, Exposure, History, LiveSuggestion, Session, Visitor
from streams.core.visitor import decode_visitor, encode_visitor
from tests.core.rows_v4 import encode_visitor_v4

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
def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    """Names that are so many digits, and those that nearly are."""
    return st.text(max_size=3) | st.text("0af", min_size=digits, max_size=digits) | st.text(
        "0123456789abcdefA ", min_size=digits, max_size=digits
    )


sessions = st.builds(
    Session,
    id=hexadecimal(16), start=numbers, last=numbers, states=st.dictionaries(keys, states, max_size=5),
    holding=st.lists(keys, max_size=3), fired=st.dictionaries(keys, st.integers(0, 100), max_size=3),
    timers=st.dictionaries(keys, numbers, max_size=4), due=numbers,
)  # fmt: skip


money = st.integers(-(2**40), 2**40)
exposures = st.builds(
    Exposure, rule=st.text(max_size=3), version=hexadecimal(12), arm=st.sampled_from(["treated", "control"]),
    at=numbers, variant=st.none() | st.text(max_size=3), target=st.text(max_size=3),
    credits=st.dictionaries(st.text(max_size=3), st.tuples(money, money).map(list), max_size=2),
)  # fmt: skip
live = st.builds(
    LiveSuggestion, id=hexadecimal(20), rule=st.text(max_size=3), expires=numbers,
    variant=st.none() | st.text(max_size=3), answered=st.integers(0, 15),
)  # fmt: skip
histories = st.builds(History, times=st.lists(numbers, max_size=4), dismissed=numbers)
visitors = st.builds(
    Visitor, visitor=st.just("v"), clock=st.sampled_from([0, START, START + 3_600_000]), minute=st.integers(0, 2**32),
    recent=st.binary(max_size=4).map(lambda ids: ids * 6),
    reported=st.dictionaries(st.integers(0, 2**48 - 1), keys, max_size=2),
    sessions=st.lists(sessions, max_size=2),
    exposures=st.lists(exposures, max_size=3), live=st.lists(live, max_size=3),
    history=st.dictionaries(st.text(max_size=3), histories, max_size=3), programme=st.none() | exposures,
    journeys=st.dictionaries(keys, states, max_size=2),
)  # fmt: skip


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


def body(**fields):
    """The packed body of a visitor."""
    names = (
        "clock", "visits", "recent", "texts", "near", "far", "sessions", "exposures", "versions", "programme", "live",
        "ids", "history", "reported", "unmeasured", "minute", "taken", "journeys",
    )  # fmt: skip
    return dict(zip(names, pack_visitor(Visitor(**fields)), strict=True))


def times(*values, clock=START):
    """(the three bytes of each in `near` as a number, `far`) of a visitor with these times."""
    packed = body(clock=clock, sessions=[Session("s", 0, 0, states={1: list(values)}, due=0)])
    near, count = packed["near"], len(packed["near"]) // 3
    return [int.from_bytes(near[place::count], "little") for place in range(count)], packed["far"]


@pytest.mark.parametrize(
    ("distance", "near"),
    [
        (-NEAR_START - 1, False), (-NEAR_START, True), (-NEAR_START + 1, True), (0, True),
        (FAR - NEAR_START - 1, True), (FAR - NEAR_START, False),
    ],
)  # fmt: skip
def test_a_time_about_the_clock_is_three_bytes_and_any_other_a_difference_to_it(distance, near):
    expected = ([distance + NEAR_START], []) if near else ([FAR], [distance])
    assert times(START + distance) == expected


@pytest.mark.parametrize("number", [TIME_END, 2**64 - 1, -TIME_MIN, -(2**63)])
def test_a_number_that_is_no_time_is_written_as_itself(number):
    assert times(START + 1, number, START - 1) == ([NEAR_START + 1, ITSELF, NEAR_START - 1], [number])


def test_a_hash_that_many_conditions_remember_is_written_once():
    session = Session("s", 0, 0, states={1: [START, 2**63], 2: [START + 7, 2**63]}, due=0)
    packed = body(clock=START, sessions=[session])
    assert (packed["far"], packed["sessions"][0][14]) == ([2**63], [-5, 1, 3, -5, 5, 3])


def test_lists_in_states_are_their_lengths_and_their_items():
    session = Session("s", 0, 0, states={1: [1, [], [2, [None]]], 2: []}, due=0)
    assert body(sessions=[session])["sessions"][0][14] == [-7, 2, -1, -5, 4, -3, None, -1]


def test_keys_are_four_bytes_each_the_lowest_first():
    session = Session("s", 0, 0, states={70: [1]}, holding=[90], fired={80: 2, 2**32 - 1: 3}, timers={70: 3}, due=0)
    packed = body(sessions=[session])["sessions"][0]
    assert packed[13] == b"F\0\0\0Z\0\0\0P\0\0\0\xff\xff\xff\xffF\0\0\0"
    assert packed[15:18] == [1, [2, 3], [6]]


def test_the_name_of_a_rule_is_written_once():
    state = Visitor(
        exposures=[Exposure("a-rule", "1", "control", START)], live=[LiveSuggestion("i", "a-rule", START)],
        history={"a-rule": History([START], 0)},
    )  # fmt: skip
    assert encode_visitor(state).count(b"a-rule") == 1


def test_ids_and_versions_are_written_in_half_their_digits():
    packed = body(
        live=[LiveSuggestion("0a" * 10, "r", 0), LiveSuggestion("0b" * 10, "r", 0)],
        exposures=[Exposure("r", "0c" * 6, "control", 0)], sessions=[Session("0d" * 8, 0, 0)],
    )  # fmt: skip
    assert (packed["ids"], packed["versions"]) == (b"\x0a" * 10 + b"\x0b" * 10, b"\x0c" * 6)
    assert packed["sessions"][0][0] == b"\x0d" * 8


@pytest.mark.parametrize("name", ["0A" * 10, "0g" * 10, " 0" * 10, "0a" * 9, "0a" * 11])
def test_ids_of_which_one_is_anything_else_are_texts(name):
    packed = body(live=[LiveSuggestion("0a" * 10, "r", 0), LiveSuggestion(name, "r", 0)])
    assert (packed["ids"], packed["texts"]) == (b"", ["r", "0a" * 10, name])


def test_packing_leaves_the_state_alone():
    session = Session("s", START, START, states={1: [START, [2, True]]}, timers={1: START})
    encode_visitor(Visitor("v", sessions=[session]))
    assert (session.states, session.timers) == ({1: [START, [2, True]]}, {1: START})


@given(visitors)
def test_a_row_of_version_4_is_the_same_state(state):
    assert decode_visitor("v", encode_visitor_v4(state)) == state
