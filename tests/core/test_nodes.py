"""The nodes of a tree, each asked alone."""

from __future__ import annotations

import pytest

from streams.core.conditions import CountLeaf, EventLeaf
from streams.core.nodes import (
    NONE,
    AllNode,
    AnyNode,
    LateNode,
    LeafNode,
    MatchNode,
    NotNode,
    PulseNode,
    WatchedNode,
)
from streams.core.session import Session

LEAF = CountLeaf(7, 1, None, None)
OTHER = CountLeaf(8, 1, None, None)


def session(*keys: int) -> Session:
    """One in which the leaves of these keys hold."""
    return Session("s", 0, 0, states={key: [1] for key in keys})


@pytest.mark.parametrize(("keys", "every", "some"), [((), False, False), ((7,), False, True), ((7, 8), True, True)])
def test_all_and_any(keys, every, some):
    parts = (LeafNode(LEAF), LeafNode(OTHER))
    assert AllNode(parts).holds(session(*keys), 0, NONE, NONE) is every
    assert AnyNode(parts).holds(session(*keys), 0, NONE, NONE) is some


def test_not():
    assert NotNode(LeafNode(LEAF)).holds(session(), 0, NONE, NONE) is True
    assert NotNode(LeafNode(LEAF)).holds(session(7), 0, NONE, NONE) is False


@pytest.mark.parametrize(
    ("hits", "muted", "pulse", "late"),
    [(NONE, NONE, False, False), ({7}, NONE, True, True), ({7}, {7}, False, False), ({8}, NONE, False, False)],
)
def test_a_hit_counts_unless_it_is_muted(hits, muted, pulse, late):
    assert PulseNode(EventLeaf(7)).holds(session(), 0, hits, muted) is pulse
    assert LateNode(LEAF).holds(session(), 0, hits, muted) is late


def test_what_holds_without_the_hit_needs_none():
    assert LateNode(LEAF).holds(session(7), 0, NONE, {7}) is True


@pytest.mark.parametrize(("keys", "muted", "holds"), [((7,), NONE, True), ((7,), {7}, False), ((), NONE, False)])
def test_a_match_that_is_muted_does_not_hold(keys, muted, holds):
    assert MatchNode(LEAF).holds(session(*keys), 0, NONE, muted) is holds


def test_a_watched_node_shows_what_it_is_asked():
    asked = []
    node = WatchedNode(LeafNode(LEAF), lambda *question: asked.append(question))
    here = session(7)
    assert node.holds(here, 5, {7}, NONE) is True
    assert asked == [(here, 5, {7}, NONE)]
