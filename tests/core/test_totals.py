"""The totals: what each effect adds, sums over partitions, the order that does not matter, and the bounds."""

from __future__ import annotations

import random

import msgspec
import pytest

from streams.core import totals as module
from streams.core.effects import CreditedExposure, Decision, OutcomeRecord, Receipt, Suppression, Withdrawal
from streams.core.totals import (
    EARLIER,
    PRICES_MAX,
    VERSIONS_MAX,
    Credit,
    OutcomeLine,
    Priced,
    RuleLine,
    Totals,
    decode_line,
    encode_line,
)
from streams.core.visitor import CREDITS_MAX


def decision(at=5, arm="treated", kind="suggested", rule="r", version="1", **fields) -> Decision:
    return Decision("d", "v", "s", rule, version, at, kind, arm, "e", **fields)


def happened(amount=6.5, at=9, exposures=(), name="chat", **fields) -> OutcomeRecord:
    return OutcomeRecord("o", "v", "s", name, "anti_conversion", at, "e", "EUR", amount, exposures, **fields)


def exposure(before=0, before_micros=0, arm="treated", rule="r", variant=None) -> CreditedExposure:
    return CreditedExposure(rule, "1", arm, 5, variant, before, before_micros)


def folded(*effects) -> Totals:
    totals = Totals()
    for effect in effects:
        totals.add(effect)
    return totals


def test_decisions_are_counted_by_kind_and_reason_and_exposures_once():
    totals = folded(
        decision(7, exposure=True),
        decision(6, exposure=True),
        decision(8),
        decision(9, kind="suppressed", reason=Suppression.COOLDOWN),
    )
    assert totals.lines == {
        "rule/r/treated/": RuleLine(
            "r", "treated", "", 4, 2, 6, 7, decisions={"suggested": 3, "suppressed:cooldown": 1}, versions={"1": 2}
        ),
    }


def test_arms_and_variants_have_lines_of_their_own():
    totals = folded(decision(variant="a"), decision(variant="b"), decision(arm="control", kind="control"))
    assert set(totals.lines) == {"rule/r/treated/a", "rule/r/treated/b", "rule/r/control/"}


def test_the_programme_counts_exposures_only():
    totals = folded(decision(exposure=True, programme="control", arm="control", kind="control"))
    assert totals.lines["rule/programme/control/"] == RuleLine("programme", "control", "", 1, 1, 5, 5)


def test_receipts_and_what_showing_costs():
    totals = folded(
        Receipt("1", "v", "r", "s", "shown", 5, None, 20_000), Receipt("2", "v", "r", "s", "clicked", 6, None)
    )
    line = totals.lines["rule/r/treated/"]
    assert (line.receipts, line.nudge_micros) == ({"shown": 1, "clicked": 1}, 20_000)


def test_an_outcome_counts_with_and_without_an_exposure():
    totals = folded(
        happened(price="p"), happened(exposures=(exposure(),), price="p", at=3), happened(None, price="q")
    )
    line = totals.lines["outcome/chat"]
    assert line == OutcomeLine(
        "chat", "anti_conversion", "EUR", 3, 2, 1, 13_000_000, 3, 9,
        {"p": Priced(2, 13_000_000, 3), "q": Priced(1, 0, 9)},
    )  # fmt: skip
    assert totals.lines["rule/r/treated/"].outcomes == dict.fromkeys(
        ("chat", "all_costs"), Credit(1, 1, 6_500_000, 6_500_000**2)
    )


def test_money_is_squared_by_visitor():
    totals = folded(
        happened(2.0, exposures=(exposure(),)),
        happened(3.0, exposures=(exposure(1, 2_000_000),)),
        happened(4.0, exposures=(exposure(),)),
        happened(1.0, exposures=(), programme=exposure(rule="programme")),
    )
    assert totals.lines["rule/r/treated/"].outcomes["chat"] == Credit(2, 3, 9_000_000, (25 + 16) * 10**12)
    assert totals.lines["rule/programme/treated/"].outcomes["chat"].outcomes == 1


def test_all_costs_are_squared_by_visitor():
    seen = CreditedExposure("r", "1", "treated", 5, None, 0, 0, False, (), 1, 2_000_000)
    totals = folded(happened(2.0, exposures=(exposure(),)), happened(None, exposures=(seen,), name="call"))
    totals.add(OutcomeRecord("o", "v", "s", "bought", "conversion", 9, "e", "EUR", 50.0, (exposure(),)))
    shares = totals.lines["rule/r/treated/"].outcomes
    assert shares["all_costs"] == Credit(1, 2, 2_000_000, 4 * 10**12, 1)
    assert shares["call"] == Credit(1, 1, 0, 0, 1)


def test_what_visitors_had_instead_is_taken_back_when_the_target_happens():
    left = CreditedExposure("r", "1", "treated", 5, None, 0, 0, True)
    totals = folded(happened(exposures=(left,), name="left"), happened(exposures=(left,), name="left"))
    assert totals.lines["rule/r/treated/"].instead == {"left": 2}
    totals.add(happened(exposures=(CreditedExposure("r", "1", "treated", 5, None, 0, 0, False, ("left",)),)))
    assert totals.lines["rule/r/treated/"].instead == {"left": 1}


def test_the_target_is_the_decisions():
    assert folded(decision(prevents="chat"), decision()).lines["rule/r/treated/"].target == "chat"


def test_versions_of_a_rule_are_bounded():
    totals = Totals()
    for number in range(VERSIONS_MAX + 2):
        totals.add(Decision("d", "v", "s", "r", f"v{number}", 1, "control", "control", "e", exposure=True))
    line = totals.lines["rule/r/control/"]
    assert (len(line.versions), line.exposed) == (VERSIONS_MAX, VERSIONS_MAX + 2)


def test_other_effects_are_passed_over():
    totals = folded(Withdrawal("s", "v", "r", 5, "outcome"))
    assert (totals.lines, totals.changed) == ({}, set())


def test_only_changed_lines_are_settled_and_once():
    totals = folded(decision(), happened())
    assert list(totals.settle()) == ["outcome/chat", "rule/r/treated/"]
    assert totals.settle() == {}
    totals.add(decision())
    ((key, value),) = totals.settle().items()
    assert decode_line(value) == totals.lines[key]


def test_of_two_writings_of_a_line_the_one_that_counted_more_wins():
    totals = Totals()
    newer, older = RuleLine("r", "treated", number=5, exposed=3), RuleLine("r", "treated", number=4, exposed=2)
    for line in (older, newer, older):
        totals.restore(line)
    assert totals.lines["rule/r/treated/"].exposed == 3
    totals.add(decision())
    assert totals.lines["rule/r/treated/"].number == 6


def effects_of_many(seed: int) -> list:
    chance = random.Random(seed)
    made = []
    for number in range(400):
        arm = chance.choice(["treated", "control"])
        kind = chance.choice(["decision", "outcome", "receipt"])
        if kind == "decision":
            made.append(decision(number + 1, arm, exposure=chance.random() < 0.5, rule=chance.choice("abc")))
        elif kind == "receipt":
            word = chance.choice(["shown", "clicked"])
            made.append(Receipt("x", "v", chance.choice("abc"), "s", word, number, "b", 7))
        else:
            seen = exposure(chance.randint(0, 2), chance.randint(-10, 10**9), arm, chance.choice("abc"))
            money = round(chance.uniform(-5, 500), 2)
            made.append(happened(money, number + 1, (seen,), chance.choice("xy"), price="p"))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_partitions_add_up_to_the_whole_in_any_order(seed):
    effects = effects_of_many(seed)
    whole = folded(*effects)
    chance = random.Random(seed)
    chance.shuffle(effects)
    parts = [Totals() for _ in range(3)]
    for effect in effects:
        chance.choice(parts).add(effect)
    summed = Totals()
    for part in parts:
        summed.absorb(decode_line(encode_line(line)) for line in part.lines.values())
    assert summed.lines == whole.lines


def test_a_sum_does_not_change_its_parts():
    part = folded(decision(), happened())
    before = msgspec.to_builtins(part.lines)
    summed = Totals()
    summed.absorb(part.lines.values())
    summed.absorb(part.lines.values())
    assert msgspec.to_builtins(part.lines) == before
    assert summed.lines["outcome/chat"].micros == 13_000_000


@pytest.mark.parametrize("seed", range(5))
def test_changed_lines_never_need_more_room_than_is_said(seed):
    totals = Totals()
    for number, effect in enumerate(effects_of_many(seed)):
        totals.add(effect)
        if number % 7 == 0:
            room = totals.room()
            assert sum(len(key) + len(value) for key, value in totals.settle().items()) <= room
    for line in totals.lines.values():
        again = Totals()
        again.restore(line)
        if isinstance(line, RuleLine):
            again.add(decision(rule=line.rule, arm=line.arm, variant=line.variant))
        else:
            again.add(happened(name=line.outcome))
        room = again.room()
        assert sum(len(key) + len(value) for key, value in again.settle().items()) <= room
        assert again.room() == 0


def test_a_line_that_is_restored_while_it_is_changed_needs_its_own_room():
    newer = folded(*[decision(version=str(number), exposure=True) for number in range(9)])
    totals = folded(decision())
    totals.restore(newer.lines["rule/r/treated/"])
    assert totals.room() == newer.room()


def test_lines_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "LINES_MAX", 2)
    totals = folded(decision(rule="a"), decision(rule="b"), decision(rule="c"), happened(exposures=(exposure(),)))
    totals.add(Receipt("1", "v", "r", "s", "shown", 5))
    totals.add(decision(programme="treated", rule="a"))
    assert len(totals.lines) == 2
    assert totals.refused == 5


def test_outcomes_of_a_line_are_bounded():
    totals = Totals()
    for number in range(2 * CREDITS_MAX):
        totals.add(happened(exposures=(exposure(),), name=f"o{number}"))
    assert len(totals.lines["rule/r/treated/"].outcomes) == 2 * CREDITS_MAX
    assert totals.refused == 1


def test_prices_of_an_outcome_are_bounded_and_lose_nothing():
    totals = Totals()
    for number in range(PRICES_MAX + 3):
        totals.add(happened(1.0, at=number + 1, price=f"p{number}"))
    line = totals.lines["outcome/chat"]
    assert len(line.prices) == PRICES_MAX + 1
    assert line.prices[EARLIER] == Priced(3, 3_000_000, 1)
    assert sum(price.outcomes for price in line.prices.values()) == PRICES_MAX + 3
