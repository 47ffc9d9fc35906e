"""``GET /v1/impact``: who may ask, sums over partitions, what is new, and what the numbers mean."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.core.about import about
from streams.core.effects import CreditedExposure, Decision, OutcomeRecord, Receipt
from streams.core.totals import Totals, encode_line
from streams.embedded.topics import create_topics
from streams.http.impact import impact_totals
from streams.impact import model
from tests.core.build import compiled, event, outcome, rule
from tests.http.support import SERVER, WRITE, Api

RULES = compiled(
    rule(event("a"), title="Help", holdout=0.2),
    outcomes=[outcome(label="Chat"), outcome("bought", event("purchase"), "conversion")],
    global_holdout=0.1,
    nudge_cost=0.02,
)
PRICE = RULES.outcomes[0].prices[0].version


def decision(arm: str = "treated", **fields: Any) -> Decision:
    kind = "suggested" if arm == "treated" else "control"
    return Decision("d", "v", "s", "r", "1", 5, kind, arm, "e", prevents="chat", **fields)


def chat(*exposures: CreditedExposure, **fields: Any) -> OutcomeRecord:
    return OutcomeRecord("o", "v", "s", "chat", "anti_conversion", 9, "e", "EUR", 6.5, exposures, price=PRICE, **fields)


def folded(*effects: Any) -> Totals:
    totals = Totals()
    for effect in effects:
        totals.add(effect)
    return totals


async def tell(api: Api, partition: int, totals: Totals) -> None:
    """As the partition's worker does."""
    producer = AIOKafkaProducer(bootstrap_servers=api.settings.kafka_bootstrap)
    await producer.start()
    topic = api.settings.topic("totals")
    try:
        for key, line in totals.lines.items():
            name = f"{partition}/{key}".encode()
            await producer.send_and_wait(topic, encode_line(line), key=name, partition=partition)
        await producer.send_and_wait(topic, b"garbage", key=b"?", partition=0)
        await producer.send_and_wait(topic, msgspec.json.encode(about(RULES)), key=b"about", partition=0)
    finally:
        await producer.stop()


async def ask(api: Api) -> model.Totals:
    answer = await api.client.get("/v1/impact", headers=SERVER)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=model.Totals)


@pytest.mark.parametrize("headers", [{}, WRITE, {"authorization": "Bearer guessed"}])
async def test_only_a_server_key_opens_it(api: Api, headers: dict[str, str]) -> None:
    assert (await api.client.get("/v1/impact", headers=headers)).status_code == 401


async def test_before_any_worker_nothing_is_counted(api: Api) -> None:
    totals = await ask(api)
    assert (totals.rules, totals.outcomes) == ([], [])
    await create_topics(api.settings)
    await tell(api, 0, folded(decision(exposure=True)))
    assert [rule.rule for rule in (await ask(api)).rules] == ["r"]


async def test_partitions_are_summed_and_each_question_knows_what_is_new(api: Api) -> None:
    await create_topics(api.settings)
    exposed = CreditedExposure("r", "1", "treated", 5)
    await tell(api, 0, folded(decision(exposure=True), chat(exposed)))
    await tell(api, 1, folded(decision(exposure=True)))
    (found,) = (await ask(api)).rules
    assert [(arm.arm, arm.visitors, arm.outcomes["chat"].micros) for arm in found.arms] == [("treated", 2, 6_500_000)]
    # The same line again, having counted more: its last word replaces the one before.
    await tell(api, 1, folded(decision(exposure=True), decision(exposure=True), decision(exposure=True)))
    await tell(api, 1, folded(decision(exposure=True)))  # and an older one that comes late does not
    (found,) = (await ask(api)).rules
    assert found.arms[0].visitors == 4


def test_a_rule_has_its_arms_what_was_suggested_and_what_is_declared() -> None:
    left = CreditedExposure("r", "1", "control", 5, None, 0, 0, True)
    totals = folded(
        decision(exposure=True, variant="a"), decision(exposure=True, variant="b"), decision("control", exposure=True),
        Receipt("1", "v", "r", "s", "shown", 6, "a", 20_000), Receipt("2", "v", "r", "s", "clicked", 6, "a"),
        OutcomeRecord("o", "v", "s", "bought", "conversion", 9, "e", "EUR", None, (left,), price="none"),
    )  # fmt: skip
    (found,) = impact_totals(totals, about(RULES), 7).rules
    assert (found.title, found.target, found.measure, found.versions) == ("Help", "chat", "rate", ["1"])
    assert found.shares == pytest.approx({"control": 0.28, "treated": 0.72})
    arms = {(arm.arm, arm.variant): arm for arm in found.arms}
    assert set(arms) == {("treated", "a"), ("treated", "b"), ("control", "")}
    assert arms["treated", "a"].suggestions == model.SuggestionCounts(made=1, shown=1, clicked=1, micros=20_000)
    assert arms["control", ""].instead == {"bought": 1}
    assert arms["control", ""].outcomes["bought"] == model.OutcomeTotals(visitors=1, count=1, unpriced=1)
    assert (arms["control", ""].first_exposure, arms["control", ""].last_exposure) == (5, 5)


def test_the_programme_is_judged_by_all_costs_and_counts_every_suggestion() -> None:
    whole = CreditedExposure("programme", "", "treated", 5)
    totals = folded(decision(exposure=True, programme="treated"), chat(programme=whole))
    totals.add(Receipt("1", "v", "r", "s", "shown", 6, None, 20_000))
    found = impact_totals(totals, about(RULES), 7)
    programme = next(one for one in found.rules if one.rule == model.PROGRAMME)
    assert (programme.target, programme.measure, programme.shares["control"]) == (model.ALL_COSTS, "amount", 0.1)
    (arm,) = programme.arms
    assert arm.outcomes[model.ALL_COSTS].micros_squared == 6_500_000**2
    assert arm.suggestions == model.SuggestionCounts(made=1, shown=1, micros=20_000)


def test_outcomes_have_their_costs_versions_and_what_is_credited_to_nobody_is_said() -> None:
    found = impact_totals(folded(chat(), chat()), about(RULES), 7)
    (chats,) = found.outcomes
    assert (chats.label, chats.kind) == ("Chat", "anti_conversion")
    assert chats.versions == [
        model.CostVersion(version=PRICE.partition(" #")[2], text="6.5", since=9, count=2, micros=13_000_000)
    ]
    assert [note.count for note in found.notes] == [2]
    assert (found.currency, found.nudge_micros, found.at) == ("EUR", 20_000, 7)


def test_rules_that_are_gone_keep_their_numbers() -> None:
    found = impact_totals(folded(decision(exposure=True), chat()), None, 7)
    assert [(rule.rule, rule.target, rule.shares) for rule in found.rules] == [("r", "chat", {})]
    assert (found.currency, found.attribution_window_ms) == ("EUR", None)
