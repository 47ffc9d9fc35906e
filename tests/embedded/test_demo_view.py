"""What the demo shows: figures that were counted, suggestions with rule and reason, nothing wider than the screen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streams.core.definition import (
    Amount,
    Content,
    EventAtHand,
    Matcher,
    OutcomeDefinition,
    Program,
    RuleDefinition,
)
from streams.core.effects import Suggestion
from streams.embedded.demo_view import View
from streams.embedded.simulation import Observed
from streams.embedded.tally import Tally

CHAT = EventAtHand(Matcher(("chat",)))
PROGRAM = Program(
    "EUR",
    (OutcomeDefinition("support_chat", "anti_conversion", CHAT, Amount(6.5)),),
    (RuleDefinition("dead-end", CHAT, Content("banner", (("en", "x"),)), prevents="support_chat", title="In vain"),),
)


def drawn(width: int, tally: Tally, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(View(PROGRAM, console).draw(tally, Observed(live=7), 3, 12.0))
    return console.file.getvalue()


def test_suggestion_is_shown_with_rule_aim_and_reason() -> None:
    tally = Tally()
    tally.feed.appendleft(Suggestion("1", "visitor-1", "s", "dead-end", "1", "b", 1, 1000, 2, {"en": "Can we help?"}))
    screen = drawn(140, tally)
    for words in ("dead-end", "support_chat", "In vain", "Can we help?"):
        assert words in screen


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_screen(width: int) -> None:
    tally = Tally(events=10**9)
    tally.feed.extend(Suggestion(str(n), "v", "s", "dead-end", "1", "b", 1, 1, 2, {"en": "x" * 300}) for n in range(40))
    screen = drawn(width, tally, height=30)
    assert max(map(len, screen.splitlines())) <= width
    assert len(screen.splitlines()) <= 30


def test_line_says_the_same_where_there_is_no_terminal() -> None:
    tally = Tally(events=1234, suggestions=5)
    tally.outcomes["support_chat"] = 2
    tally.money["support_chat"] = 13.0
    tally.anti_conversions.add("support_chat")
    observed = Observed(live=7)
    observed.probe_ms.extend([10.0, 20.0])
    line = View(PROGRAM, Console(file=io.StringIO())).line(tally, observed, 3, 12.0)
    for words in ("1,234 events", "7 in the shop", "5 suggestions", "2 anti-conversions (13.00 EUR)", "lag 3"):
        assert words in line
