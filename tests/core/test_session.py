"""The hot state: its fields in the order of the row, and equality by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.session import (
    ID_BYTES,
    MINUTE_MS,
    MINUTES_BACK_MAX,
    RECENT_IDS_MAX,
    Exposure,
    History,
    LiveSuggestion,
    Session,
    Visitor,
    knows_id,
    remember_id,
    take,
    text_hash,
)
from streams.core.visitor import encode_visitor


def test_a_session_is_its_fields():
    one = Session("s", 1, 2, explicit=True, states={1: [2]}, timers={3: 4})
    assert Session(*one.fields()) == one
    assert one != Session("s", 1, 2)
    assert one != "s"


def test_a_visitor_is_its_fields_and_its_name():
    one = Visitor("v", offset=3, recent=bytes(ID_BYTES), sessions=[Session("s", 1, 2)])
    assert one == Visitor("v", offset=3, recent=bytes(ID_BYTES), sessions=[Session("s", 1, 2)])
    assert one != Visitor("w", offset=3, recent=bytes(ID_BYTES), sessions=[Session("s", 1, 2)])
    assert one != Visitor("v", offset=3, recent=bytes(ID_BYTES), sessions=[Session("s", 1, 3)])
    assert one != "v"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Exposure("r", "1", "treated", 5, "a", "chat", {"o": [1, 2]}), Exposure("r", "1", "treated", 5, "a", "chat")),
        (LiveSuggestion("i", "r", 5, "a", 3), LiveSuggestion("i", "r", 5, "a")),
        (History([1], 2), History([1])),
    ],
)
def test_what_a_visitor_has_is_its_fields(one, other):
    assert type(one)(*one.fields()) == one
    assert one != other
    assert one != "r"


MADE = [Session("s", 0, 0), Visitor("v"), Exposure("r", "1", "treated", 5), LiveSuggestion("i", "r", 5), History()]


@pytest.mark.parametrize("made", MADE)
def test_a_state_that_changes_is_no_key(made):
    with pytest.raises(TypeError):
        hash(made)


def test_two_visitors_share_nothing():
    one = Visitor("v")
    one.reported[1] = 1
    one.sessions.append(Session("s", 0, 0))
    assert Visitor("v") == Visitor("v")
    assert Visitor("v").reported == {}
    Exposure("r", "1", "treated", 5).credits["o"] = [1, 2]
    assert Exposure("r", "1", "treated", 5).credits == {}
    History().times.append(5)
    assert History().times == []


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_ring_of_ids_forgets_the_oldest(extra):
    state = Visitor()
    total = RECENT_IDS_MAX + extra
    for number in range(total):
        remember_id(state, number.to_bytes(ID_BYTES, "big"))
    assert [
        int.from_bytes(state.recent[at : at + ID_BYTES], "big") for at in range(0, len(state.recent), ID_BYTES)
    ] == list(range(total))[-RECENT_IDS_MAX:]


@given(st.lists(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), max_size=RECENT_IDS_MAX), st.data())
def test_an_id_is_known_when_it_is_in_the_ring_and_not_across_two(ids, data):
    ring = b"".join(ids)
    at = data.draw(st.integers(0, max(0, len(ring) - ID_BYTES)))
    for digest in (ring[at : at + ID_BYTES], data.draw(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))):
        if len(digest) == ID_BYTES:
            assert knows_id(ring, digest) == (digest in ids)


def test_an_id_is_found_behind_a_place_where_it_lies_across_two():
    digest = b"abcabc"
    assert not knows_id(b"123abc" + b"abc456", digest)
    assert knows_id(b"123abc" + b"abc456" + digest, digest)


def test_texts_hash_to_64_bits():
    hashes = {text_hash(f"e{number}") for number in range(1000)}
    assert len(hashes) == 1000
    assert all(0 <= value < 2**64 for value in hashes)


# --- events of one visitor in a minute -----------------------------------------------------------------------------

NOON = 29_000_000 * MINUTE_MS


def taken(state: Visitor, *timestamps: int, most: int = 2) -> list[bool]:
    return [take(state, timestamp, most) for timestamp in timestamps]


@pytest.mark.parametrize(("events", "let_in"), [(1, 1), (2, 2), (3, 2)])
def test_a_minute_lets_so_many_events_in(events, let_in):
    assert sum(taken(Visitor(), *[NOON] * events)) == let_in


def test_an_event_that_is_not_let_in_leaves_no_trace():
    state = Visitor("v")
    taken(state, NOON, NOON)
    row = encode_visitor(state)
    assert taken(state, NOON) == [False]
    assert encode_visitor(state) == row


@pytest.mark.parametrize(("later_ms", "let_in"), [(MINUTE_MS - 1, False), (MINUTE_MS, True), (MINUTE_MS + 1, True)])
def test_the_next_minute_begins_anew(later_ms, let_in):
    state = Visitor()
    taken(state, NOON, NOON)
    assert taken(state, NOON + later_ms) == [let_in]


@pytest.mark.parametrize(
    ("minutes_back", "let_in"), [(MINUTES_BACK_MAX - 1, False), (MINUTES_BACK_MAX, False), (MINUTES_BACK_MAX + 1, True)]
)
def test_a_straggler_counts_in_the_newest_minute_unless_that_was_wrong(minutes_back, let_in):
    state = Visitor()
    taken(state, NOON, NOON)
    assert taken(state, NOON - minutes_back * MINUTE_MS) == [let_in]


def test_collectors_whose_clocks_differ_do_not_double_the_limit():
    state = Visitor()
    assert sum(taken(state, *[NOON, NOON - 1] * 5)) == 2
