"""What may be said of funnels: conversion, time and clicks between steps, by arm, from totals alone.

Intervals may be looked at daily, as those of rules (`bounds`): a mean has its standard error times `boundary`. Each of
these is of a single figure: of many, some are wrong by chance. The difference of the arms shares the error among all
funnels. What is compared are journeys; a visitor may have several, which are not quite independent.
"""

from __future__ import annotations

from math import sqrt

from streams.core.funnel_totals import bucket_range
from streams.impact.bounds import boundary, rates_interval
from streams.impact.model import CONTROL, TREATED, FunnelArm, FunnelStepTotals, FunnelTotals, WayTotals
from streams.impact.report import Estimate, FunnelArmReport, FunnelReport, FunnelStep, Mean, Options

_MS = 1000.0


def assess_funnels(funnels: list[FunnelTotals], options: Options) -> list[FunnelReport]:
    """One report a funnel, in their order."""
    alpha = options.alpha / max(len(funnels), 1)
    return [
        FunnelReport(
            funnel=one.funnel, title=one.title or one.funnel, version=one.version, rule=one.rule,
            within_ms=one.within_ms, labels=one.labels, arms=[_arm(arm, options) for arm in _ordered(one)],
            difference=_difference(one, alpha, options.best_at),
        )
        for one in funnels
    ]  # fmt: skip


def _ordered(funnel: FunnelTotals) -> list[FunnelArm]:
    return sorted(funnel.arms, key=lambda arm: (arm.arm != CONTROL, arm.arm))


def _arm(arm: FunnelArm, options: Options) -> FunnelArmReport:
    seconds, clicks = _means(arm.whole, options)
    steps = [
        _step(step, arm.steps[index - 1] if index else None, arm.entered, options)
        for index, step in enumerate(arm.steps)
    ]
    return FunnelArmReport(
        arm=arm.arm, entered=arm.entered, ended=arm.ended, completed=arm.completed,
        share=_share(arm.completed, arm.entered), seconds=seconds, clicks=clicks, steps=steps,
    )  # fmt: skip


def _step(step: FunnelStepTotals, before: FunnelStepTotals | None, entered: int, options: Options) -> FunnelStep:
    seconds, clicks = _means(step.way, options)
    return FunnelStep(
        reached=step.reached, share=_share(step.reached, entered),
        from_before=None if before is None else _share(step.way.count, before.reached),
        skipped=_share(step.skipped, entered), reverse=_share(step.reverse, entered),
        seconds=seconds, clicks=clicks, instead=step.instead,
    )  # fmt: skip


def _share(some: int, all_of_them: int) -> float | None:
    return some / all_of_them if all_of_them else None


def _means(way: WayTotals, options: Options) -> tuple[Mean, Mean]:
    """Of seconds, and of clicks."""
    return (
        _mean(way.count, (way.ms, way.ms_squared), way.ms_buckets, _MS, options),
        _mean(way.count, (way.clicks, way.clicks_squared), way.clicks_buckets, 1.0, options),
    )


def _mean(count: int, sums: tuple[int, int], buckets: dict[int, int], unit: float, options: Options) -> Mean:
    if not count:
        return Mean(mean=None, low=None, high=None, median=None)
    whole, squares = sums
    mean, median = whole / count / unit, median_of(buckets) / unit
    if count == 1:
        return Mean(mean=mean, low=None, high=None, median=median)
    # Whole numbers until here: no difference of two large floats.
    variance = (count * squares - whole * whole) / (count * (count - 1)) / unit**2
    reach = float(boundary(count, options.alpha, options.best_at)) * sqrt(variance / count)
    return Mean(mean=mean, low=max(mean - reach, 0.0), high=mean + reach, median=median)


def median_of(buckets: dict[int, int]) -> float:
    """The middle of the bucket in which the median lies."""
    left = (sum(buckets.values()) + 1) // 2
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            low, after = bucket_range(bucket)
            return (low + after - 1) / 2
    return 0.0


def _difference(funnel: FunnelTotals, alpha: float, best_at: float) -> Estimate | None:
    arms = {arm.arm: arm for arm in funnel.arms}
    control, treated = arms.get(CONTROL), arms.get(TREATED)
    if control is None or treated is None or not control.entered or not treated.entered:
        return None
    found = rates_interval(
        (control.entered, control.completed), (treated.entered, treated.completed), alpha, best_at
    )  # fmt: skip
    value = treated.completed / treated.entered - control.completed / control.entered
    return Estimate(value=value, low=found.low if found else None, high=found.high if found else None)
