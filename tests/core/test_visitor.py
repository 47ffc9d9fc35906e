"""The row of a visitor: round trip, versions, torn rows; and every list of it bounded."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.visitor import (
    EXPOSURES_MAX,
    HISTORIES_MAX,
    NEVER,
    REPORTED_MAX,
    ROW_VERSION,
    Exposure,
    History,
    LiveSuggestion,
    Session,
    Visitor,
    decode_visitor,
    encode_visitor,
    history_of,
    remember_exposure,
    remember_report,
    row_header,
)
from streams.errors import RowVersionError


def full() -> Visitor:
    session = Session(
        id="s1", start=1, last=2, explicit=True, events=3, page_views=2, returning=True, entry_path="/é",
        referrer_host="h",
        device="mobile", country="IT", locale="it", campaign={"source": "n"},
        states={1: [1, 2, [3, "x"], None, 1.5, True]}, holding=[5], fired={5: 1}, timers={1: 9}, due=9,
    )  # fmt: skip
    return Visitor(
        visitor="v", offset=7, due=9, clock=8, visits=2,
        recent=b"\xff" * 6 + bytes(6), sessions=[session, Session("s2", 1, 1)],
        exposures=[Exposure("r", "1", "control", 5)], live=[LiveSuggestion("i", "r", 99)],
        history={"r": History([1, 2], 3)},
        programme=Exposure("programme", "", "treated", 4, None, "", {"o": [1, -5]}), reported={2**64 - 1: 5},
    )  # fmt: skip


def test_a_row_is_read_as_it_was_written():
    assert decode_visitor("v", encode_visitor(full())) == full()


def test_an_empty_visitor_has_a_row():
    row = encode_visitor(Visitor(visitor="v"))
    assert len(row) > 0
    assert decode_visitor("v", row) == Visitor(visitor="v")


def test_writing_leaves_the_state_alone():
    state = full()
    encode_visitor(state)
    assert state == full()


def test_the_visitors_id_is_the_key_and_not_in_the_row():
    state = full()
    state.visitor = "someone-very-private"
    assert b"someone" not in encode_visitor(state)


def test_equal_states_are_equal_rows():
    assert encode_visitor(full()) == encode_visitor(decode_visitor("v", encode_visitor(full())))


@given(st.integers(-1, 2**62), st.integers(0, NEVER))
def test_offset_and_due_are_read_without_the_rest(offset, due):
    row = encode_visitor(Visitor(visitor="v", offset=offset, due=due))
    assert row_header(row) == (offset, due)


@pytest.mark.parametrize("version", [0, ROW_VERSION + 1, 255])
def test_a_row_of_an_unknown_version_is_refused_with_a_message(version):
    row = bytes([version]) + encode_visitor(full())[1:]
    for read in (lambda: decode_visitor("v", row), lambda: row_header(row)):
        with pytest.raises(RowVersionError, match=f"version {version}, this program reads"):
            read()


@pytest.mark.parametrize("row", [b"", b"\x01", b"\x01" * 16])
def test_a_row_cut_short_has_no_header(row):
    with pytest.raises(RowVersionError):
        row_header(row)


def test_a_row_torn_anywhere_is_refused():
    row = encode_visitor(full())
    for length in range(len(row)):
        with pytest.raises(RowVersionError):
            decode_visitor("v", row[:length])


@given(st.data())
def test_a_row_with_a_wrong_byte_never_raises_anything_else(data):
    row = bytearray(encode_visitor(full()))
    row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RowVersionError):
        decode_visitor("v", bytes(row))


@pytest.mark.parametrize("text", [b"\xc1", b"\xff\xfe", b"\x91" * 5000])
def test_nonsense_behind_the_header_is_refused(text):
    with pytest.raises(RowVersionError, match="damaged"):
        decode_visitor("v", encode_visitor(full())[:17] + text)


# --- bounds


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_exposures_forget_the_oldest(extra):
    state = Visitor()
    total = EXPOSURES_MAX + extra
    for number in range(total):
        remember_exposure(state, Exposure(f"r{number}", "1", "treated", number))
    assert [exposure.at for exposure in state.exposures] == list(range(total))[-EXPOSURES_MAX:]


def test_histories_forget_the_rule_used_longest_ago():
    state = Visitor()
    for number in range(HISTORIES_MAX):
        history_of(state, f"r{number}").times.append(1000 - number)
    history_of(state, f"r{HISTORIES_MAX - 1}").dismissed = 2000
    history_of(state, "new")
    assert len(state.history) == HISTORIES_MAX
    assert f"r{HISTORIES_MAX - 2}" not in state.history


def test_a_history_is_made_once():
    state = Visitor()
    assert history_of(state, "r") is history_of(state, "r")


def test_reports_are_bounded_and_forgotten_when_too_old():
    state = Visitor(visitor="v")
    for number in range(REPORTED_MAX + 1):
        remember_report(state, number, 10_000 + number, 0)
    assert len(state.reported) == REPORTED_MAX
    assert 0 not in state.reported
    remember_report(state, 99, 50_000, 11_000)
    assert state.reported == {99: 50}
