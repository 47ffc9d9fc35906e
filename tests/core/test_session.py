"""The hot state: its fields in the order of the row, and equality by them."""

from __future__ import annotations

import pytest

from streams.core.session import RECENT_IDS_MAX, Session, Visitor, id_hash, remember_id


def test_a_session_is_its_fields():
    one = Session("s", 1, 2, explicit=True, states={1: [2]}, timers={3: 4})
    assert Session(*one.fields()) == one
    assert one != Session("s", 1, 2)
    assert one != "s"


def test_a_visitor_is_its_fields_and_its_name():
    one = Visitor("v", offset=3, recent=[1], sessions=[Session("s", 1, 2)])
    assert one == Visitor("v", offset=3, recent=[1], sessions=[Session("s", 1, 2)])
    assert one != Visitor("w", offset=3, recent=[1], sessions=[Session("s", 1, 2)])
    assert one != Visitor("v", offset=3, recent=[1], sessions=[Session("s", 1, 3)])
    assert one != "v"


@pytest.mark.parametrize("made", [Session("s", 0, 0), Visitor("v")])
def test_a_state_that_changes_is_no_key(made):
    with pytest.raises(TypeError):
        hash(made)


def test_two_visitors_share_nothing():
    one = Visitor("v")
    one.recent.append(1)
    one.sessions.append(Session("s", 0, 0))
    assert Visitor("v") == Visitor("v")
    assert Visitor("v").recent == []


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_ring_of_ids_forgets_the_oldest(extra):
    state = Visitor()
    total = RECENT_IDS_MAX + extra
    for number in range(total):
        remember_id(state, number)
    assert state.recent == list(range(total))[-RECENT_IDS_MAX:]


def test_ids_hash_to_64_bits():
    hashes = {id_hash(f"e{number}") for number in range(1000)}
    assert len(hashes) == 1000
    assert all(0 <= value < 2**64 for value in hashes)
