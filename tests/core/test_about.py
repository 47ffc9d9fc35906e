"""What is said of the numbers."""

from __future__ import annotations

import msgspec

from streams.core.about import About, AboutFunnel, AboutOutcome, AboutPrice, AboutRule, about
from streams.core.definition import Amount, Price
from tests.core.build import DAY, compiled, event, funnel, matcher, outcome, rule


def test_it_says_what_is_in_force():
    rules = compiled(
        rule(event("a"), title="A", holdout=0.1),
        outcomes=[outcome(label="Chat", attribution_ms=2 * DAY, prices=(Price(5, Amount(7.0)),))],
        global_holdout=0.05,
        nudge_cost=0.02,
    )
    prices = tuple(AboutPrice(price.version, price.since) for price in rules.outcomes[0].prices)
    said = about(rules)
    assert said == About(
        rules.version, "EUR", DAY, 20_000, 0.05,
        (AboutOutcome("chat", "anti_conversion", "Chat", 2 * DAY, prices),),
        (AboutRule("r", "A", "chat", rules.rules[0].version, 0.1),),
    )  # fmt: skip
    assert [price.since for price in prices] == [0, 5]
    assert msgspec.json.decode(msgspec.json.encode(said), type=About) == said


def test_a_funnel_says_its_steps():
    made = about(compiled(funnels=(funnel("a", matcher(["b", "c"]), within_ms=5, rule="r"),)))
    assert made.funnels == (AboutFunnel("buy", "Buy", compiled(funnels=(
        funnel("a", matcher(["b", "c"]), within_ms=5, rule="r"),
    )).funnels.all[0].version, ("a", "b, c"), 5, "r"),)  # fmt: skip
