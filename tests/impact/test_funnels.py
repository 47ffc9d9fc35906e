"""Funnels in reports: shares, means and medians from sums and buckets, the arms' difference, page and terminal."""

from __future__ import annotations

import random
import statistics
from io import StringIO

import pytest
from rich.console import Console

from streams.core.funnel_totals import Between, bucket_of
from streams.impact.assess import assess
from streams.impact.funnels import median_of
from streams.impact.model import FunnelArm, FunnelStepTotals, FunnelTotals, Totals, WayTotals
from streams.impact.page.build import page_of
from streams.impact.page.funnel import place_words, span
from streams.impact.report import FunnelReport, Report
from streams.impact.terminal import print_report
from streams.impact.words import NONE


def way(*pairs: tuple[int, int]) -> WayTotals:
    """Of (ms, clicks)."""
    made = Between()
    for ms, clicks in pairs:
        made.add(ms, clicks, 1)
    return WayTotals(
        count=made.count, ms=made.ms, ms_squared=made.ms_squares, clicks=made.clicks,
        clicks_squared=made.clicks_squares, ms_buckets=made.ms_buckets, clicks_buckets=made.clicks_buckets,
    )  # fmt: skip


def arm(name: str = "treated", entered: int = 100, completed: int = 40, ways: WayTotals | None = None) -> FunnelArm:
    ways = ways or way((1000, 1), (3000, 3))
    steps = [
        FunnelStepTotals(reached=entered, instead={"/help": 3, "outcome:support_chat": 30, "left": 7}),
        FunnelStepTotals(reached=50, skipped=20, reverse=5, way=ways),
        FunnelStepTotals(reached=completed),
    ]
    return FunnelArm(arm=name, entered=entered, completed=completed, ended=80, steps=steps, whole=ways)


def report(*arms: FunnelArm, **fields: object) -> Report:
    made = FunnelTotals(
        funnel="buy", version="1", title="To <buy>", labels=["Search", "Cart", "Purchase"], arms=list(arms), **fields
    )
    return assess(Totals(currency="EUR", funnels=[made]))


def funnel(*arms: FunnelArm) -> FunnelReport:
    return report(*arms).funnels[0]


def test_shares_are_of_those_who_began_and_of_the_step_before() -> None:
    found = funnel(arm()).arms[0]
    assert (found.share, found.steps[1].share, found.steps[1].from_before) == (0.4, 0.5, 0.02)
    assert (found.steps[1].skipped, found.steps[1].reverse, found.steps[0].from_before) == (0.2, 0.05, None)


def test_means_and_their_intervals_are_those_of_the_journeys() -> None:
    draw = random.Random(3)
    pairs = [(draw.randrange(1000, 90_000), draw.randrange(9)) for _ in range(500)]
    step = funnel(arm(ways=way(*pairs))).arms[0].steps[1]
    assert step.seconds.mean == pytest.approx(statistics.mean(ms for ms, _ in pairs) / 1000)
    assert step.clicks.mean == pytest.approx(statistics.mean(clicks for _, clicks in pairs))
    error = statistics.stdev(ms for ms, _ in pairs) / 1000 / 500**0.5
    assert step.seconds.low is not None
    assert step.seconds.mean is not None
    assert 1.96 * error < step.seconds.mean - step.seconds.low < 6 * error
    assert step.seconds.median == pytest.approx(statistics.median(ms for ms, _ in pairs) / 1000, rel=0.13)
    assert step.clicks.median == pytest.approx(statistics.median_low(clicks for _, clicks in pairs), rel=0.13)


def test_one_journey_has_no_interval_and_none_no_mean() -> None:
    found = funnel(arm(ways=way((5000, 2)))).arms[0].steps
    assert (found[1].seconds.mean, found[1].seconds.low) == (5.0, None)
    assert found[2].seconds.mean is None


def test_a_median_of_nothing_is_nothing() -> None:
    assert median_of({}) == 0.0
    assert median_of({bucket_of(3): 1, bucket_of(1000): 1}) == 3


def test_the_difference_of_the_arms_has_an_interval() -> None:
    found = funnel(arm("treated", 4000, 2000), arm("control", 4000, 1600)).difference
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.1 < found.high


def test_one_arm_alone_cannot_be_compared() -> None:
    assert funnel(arm()).difference is None
    assert funnel(arm(), arm("control", 0, 0)).difference is None


def test_the_page_shows_bars_ways_order_and_places() -> None:
    page = page_of(report(arm(), arm("control"), rule="help", within_ms=172_800_000))
    for said in ("To &lt;buy&gt;", "200 journeys began", "2 days", "Search → Cart", "support_chat</code> (outcome)",
                 "Skipped, or in reverse", "2. Cart", "the arms of <code>help</code>"):  # fmt: skip
        assert said in page, said
    assert "<buy>" not in page


def test_the_page_of_a_funnel_without_anybody_says_so() -> None:
    assert "Nobody has taken the first step yet" in page_of(report())
    assert "Skipped, or in reverse" not in page_of(report(FunnelArm(arm="treated", entered=1)))


def test_the_terminal_shows_each_step_by_arm() -> None:
    out = StringIO()
    print_report(report(arm(), arm("control")), Console(file=out, width=160))
    text = out.getvalue()
    assert "funnel buy" in text
    assert text.count("Purchase") == 2
    assert "outcome:support_chat" in text


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, NONE), (40.0, "40 s"), (210.0, "3.5 min"), (9000.0, "2.5 h"), (864_000.0, "10 days")]
)
def test_times_are_written_as_people_say_them(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


def test_places_are_pages_outcomes_or_words() -> None:
    assert [place_words(place) for place in ("/a", "outcome:chat", "other")] == ["`/a`", "`chat` (outcome)", "other"]
