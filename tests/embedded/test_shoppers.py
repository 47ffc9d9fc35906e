"""The simulated people: the same seed, the same visit; what they accept spares the shop what it costs."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from streams.core.event import Event, check_event
from streams.embedded import shoppers
from streams.embedded.shoppers import KINDS, Act, Visit

COSTLY = {"chat_opened", "phone_call", "return_requested"}


def visit(kind: Callable[[Random], Visit], seed: int, *, accept: bool = False) -> list[Act]:
    """All acts of one visit; with `accept`, the first suggestion that could be seen is taken up."""
    running, acts, accepted = kind(Random(seed)), [], False
    try:
        act = next(running)
        while True:
            acts.append(act)
            act = running.send(accept and act.look and not accepted)
            accepted = accepted or acts[-1].look
    except StopIteration:
        return acts


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_same_seed_is_the_same_visit(kind: Callable[[Random], Visit]) -> None:
    assert [visit(kind, seed) for seed in range(20)] == [visit(kind, seed) for seed in range(20)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_act_is_an_event_and_every_visit_ends(kind: Callable[[Random], Visit]) -> None:
    for seed in range(50):
        acts = visit(kind, seed)
        assert 1 <= len(acts) < 60
        for act in acts:
            assert check_event(Event("1", "v", act.type, 1, props=dict(act.props))) is None


@pytest.mark.parametrize(
    "kind", [shoppers.searcher, shoppers.help_looper, shoppers.delivery_worrier, shoppers.phone_seeker],
)
def test_who_accepts_does_not_call_or_chat(kind: Callable[[Random], Visit]) -> None:
    ignoring = {act.type for seed in range(50) for act in visit(kind, seed)}
    accepting = {act.type for seed in range(50) for act in visit(kind, seed, accept=True)}
    assert ignoring & COSTLY
    assert not accepting & COSTLY


@pytest.mark.parametrize("kind", [shoppers.staller, shoppers.coupon_hunter])
def test_who_accepts_buys_more_often(kind: Callable[[Random], Visit]) -> None:
    def purchases(accept: bool) -> int:
        acts = [act.type for seed in range(200) for act in visit(kind, seed, accept=accept)]
        return acts.count("purchase")

    assert purchases(accept=True) > 1.5 * purchases(accept=False)
