"""What rules are worth, in the metrics: when it is computed, what is shown, what bounds it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from starlette.requests import Request

from streams.core.totals import Credit, RuleLine, Totals
from streams.errors import BrokerUnavailableError
from streams.http import worth as room
from streams.http.impact import impact_totals
from streams.http.worth import RULES_MAX, Worth, WorthUnknownError, assessed, show
from streams.impact import model
from streams.impact.assess import assess
from streams.impact.figures import Assessed, figures_of
from streams.impact.report import Report
from streams.telemetry import REGISTRY

REQUEST = Request({"type": "http", "method": "GET", "path": "/metrics", "headers": []})
MONEY = 1_000_000


def lines(rule: str, treated: tuple[int, int], control: tuple[int, int]) -> list[RuleLine]:
    """Exposed visitors, and those of them who opened the chat, by arm; a chat costs 6.50."""
    made = []
    for arm, (exposed, chats) in (("treated", treated), ("control", control)):
        money = chats * 13 * MONEY // 2
        credit = Credit(chats, chats, money, chats * (13 * MONEY // 2) ** 2)
        made.append(RuleLine(
            rule, arm, exposed=exposed, outcomes={"chat": credit}, target="chat",
            decisions={"suggested": exposed}, nudge_micros=MONEY,
        ))  # fmt: skip
    return made


def totals(*of: RuleLine) -> Totals:
    made = Totals()
    made.absorb(of)
    return made


def report(*of: RuleLine) -> Report:
    return assess(impact_totals(totals(*of), None, 0))


class Reader:
    """Stands for the topic."""

    def __init__(self, *of: RuleLine) -> None:
        self.totals = totals(*of)
        self.asked = 0
        self.away = False

    async def current(self) -> tuple[Totals, None]:
        self.asked += 1
        if self.away:
            raise BrokerUnavailableError("away")
        return self.totals, None


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def saved(rule: str, bound: str = "estimate") -> float | None:
    return REGISTRY.get_sample_value("avert_saved_amount", {"rule": rule, "bound": bound})


@pytest.fixture(autouse=True)
def clean_metrics() -> Iterator[None]:
    yield
    show([])


async def here(totals: model.Totals) -> Assessed:
    """The computation without a process of its own."""
    return Assessed(0.0, figures_of(assess(totals)))


async def taking(cpu_s: float, _totals: model.Totals) -> Assessed:
    return Assessed(cpu_s, [])


async def scrape(worth: Worth) -> str:
    """What a scrape sees; then wait for what it started."""
    page = bytes((await worth.metrics(REQUEST)).body).decode()
    await worth.settled()
    return page


def test_the_figures_are_those_of_the_report() -> None:
    made = report(*lines("r", (1000, 100), (1000, 200)))
    show(figures_of(made))
    gross = made.rules[0].arms[0].savings.gross
    assert gross is not None
    assert (saved("r"), saved("r", "low"), saved("r", "high")) == (gross.value, gross.low, gross.high)
    assert saved("r") == pytest.approx(100 * 6.5)


def test_a_rule_that_helps_has_one_verdict() -> None:
    show(figures_of(report(*lines("r", (1000, 100), (1000, 200)))))
    told = {
        sample.labels["verdict"]: sample.value
        for metric in REGISTRY.collect() if metric.name == "avert_verdict" for sample in metric.samples
    }
    assert told["helps"] == 1
    assert sum(told.values()) == 1
    assert len(told) == 5


def test_without_a_control_arm_nothing_is_said_to_be_saved() -> None:
    show(figures_of(report(*lines("r", (1000, 100), (0, 0)))))
    assert saved("r", "low") is None


def test_a_rule_that_is_gone_is_gone_from_the_page() -> None:
    show(figures_of(report(*lines("old", (1000, 100), (1000, 200)))))
    show(figures_of(report(*lines("new", (1000, 100), (1000, 200)))))
    assert saved("old") is None
    assert saved("new") is not None


def test_the_rules_with_the_most_visitors_are_shown() -> None:
    many = [line for n in range(RULES_MAX + 2) for line in lines(f"r{n}", (10 + n, 1), (10, 2))]
    made = report(*many)
    show(figures_of(made))
    shown = [rule.rule for rule in made.rules if saved(rule.rule) is not None]
    assert set(shown) == {f"r{n}" for n in range(1, RULES_MAX + 2)}


async def test_a_scrape_shows_what_the_one_before_started() -> None:
    worth = Worth(Reader(*lines("r", (1000, 100), (1000, 200))), 60, assess=here)
    assert 'avert_saved_amount{bound="estimate",rule="r"}' not in await scrape(worth)
    assert 'avert_saved_amount{bound="estimate",rule="r"}' in await scrape(worth)


@pytest.mark.parametrize(("after_s", "asked"), [(59.9, 1), (60, 2), (60.1, 2)])
async def test_it_is_computed_again_after_its_time(after_s: float, asked: int) -> None:
    reader, clock = Reader(), Clock()
    worth = Worth(reader, 60, clock_s=clock, assess=here)
    await scrape(worth)
    clock.s += after_s
    await scrape(worth)
    assert reader.asked == asked


@pytest.mark.parametrize(("after_s", "asked"), [(199, 1), (200, 2)])
async def test_what_takes_long_is_done_less_often(after_s: float, asked: int) -> None:
    reader, clock = Reader(), Clock()
    worth = Worth(reader, 60, clock_s=clock, assess=partial(taking, 20.0))
    await scrape(worth)
    clock.s += after_s
    await scrape(worth)
    assert reader.asked == asked


async def test_a_process_of_its_own_computes_the_same() -> None:
    counted = impact_totals(totals(*lines("r", (1000, 100), (1000, 200))), None, 0)
    made = await assessed(counted)
    assert made.rules == figures_of(assess(counted))
    assert made.cpu_s > 0


async def test_a_computation_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHILD_S_MAX", 0.0)
    with pytest.raises(WorthUnknownError, match="not computed within"):
        await assessed(impact_totals(totals(), None, 0))


async def test_what_was_shown_stays_while_the_broker_is_away() -> None:
    reader, clock = Reader(*lines("r", (1000, 100), (1000, 200))), Clock()
    worth = Worth(reader, 60, clock_s=clock, assess=here)
    await scrape(worth)
    reader.away = True
    clock.s += 60
    await scrape(worth)
    assert reader.asked == 2
    assert saved("r") is not None
