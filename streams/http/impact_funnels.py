"""The lines of funnels as the room `impact` reads them."""

from __future__ import annotations

from streams.core.about import About
from streams.core.funnel_totals import Between, FunnelLine
from streams.impact.model import FunnelArm, FunnelStepTotals, FunnelTotals, WayTotals


def funnel_totals(lines: list[FunnelLine], about: About | None) -> list[FunnelTotals]:
    """The funnels in force; without `about` all versions, with numbers for their steps' labels."""
    if about is None:
        named = sorted({(line.funnel, line.version) for line in lines})
        return [_funnel(FunnelTotals(funnel=name, version=version), lines) for name, version in named]
    return [
        _funnel(
            FunnelTotals(
                funnel=one.funnel, title=one.title, version=one.version, labels=list(one.steps),
                within_ms=one.within_ms, rule=one.rule,
            ),
            lines,
        )
        for one in about.funnels
    ]  # fmt: skip


def _funnel(found: FunnelTotals, lines: list[FunnelLine]) -> FunnelTotals:
    mine = [line for line in lines if (line.funnel, line.version) == (found.funnel, found.version)]
    size = max((len(line.steps) for line in mine), default=len(found.labels))
    found.labels = found.labels or [f"step {number}" for number in range(1, size + 1)]
    found.arms = [_arm(line) for line in mine]
    return found


def _arm(line: FunnelLine) -> FunnelArm:
    steps = [
        FunnelStepTotals(
            reached=step.reached, skipped=step.skipped, reverse=step.reverse, way=_way(step.between),
            instead=dict(sorted(step.instead.items(), key=lambda one: (-one[1], one[0]))),
        )
        for step in line.steps
    ]  # fmt: skip
    return FunnelArm(
        arm=line.arm, entered=line.entered, ended=line.ended, completed=line.completed, steps=steps,
        whole=_way(line.whole), first_at=line.first_at or None, last_at=line.last_at or None,
    )  # fmt: skip


def _way(way: Between) -> WayTotals:
    return WayTotals(
        count=way.count, ms=way.ms, ms_squared=way.ms_squares, clicks=way.clicks, clicks_squared=way.clicks_squares,
        ms_buckets=dict(sorted(way.ms_buckets.items())), clicks_buckets=dict(sorted(way.clicks_buckets.items())),
    )  # fmt: skip
