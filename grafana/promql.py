"""The few shapes of PromQL that the boards are made of, so that every panel filters and windows in the same way."""

from __future__ import annotations

WINDOW = "$__rate_interval"  # Grafana makes it at least four scrapes long
HERE = 'instance=~"$instance"'  # the processes chosen at the top of the board


def rate(metric: str, by: str = "", where: str = HERE) -> str:
    """Per second over all processes, split by the labels in `by`."""
    return f"{_sum(by)} (rate({metric}{{{where}}}[{WINDOW}]))"


def over_range(metric: str, by: str = "", where: str = HERE) -> str:
    """How much came in the time shown, split by the labels in `by`."""
    return f"{_sum(by)} (increase({metric}{{{where}}}[$__range]))"


def total(metric: str, by: str = "", where: str = HERE) -> str:
    """The value now, over all processes."""
    return f"{_sum(by)} ({metric}{{{where}}})"


def told(metric: str, by: str, where: str = "") -> str:
    """What every API process tells alike: one of them, never their sum."""
    return f"max by ({by}) ({metric}{{{where}}})"


def quantile(q: float, histogram: str, by: str = "", where: str = HERE) -> str:
    """The `q` quantile of a histogram over all processes, as exact as its buckets."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket{{{where}}}[{WINDOW}])))"


def mean(histogram: str, by: str = "", where: str = HERE) -> str:
    """The mean of a histogram: sums of means add up, which quantiles do not."""
    return f"{rate(histogram + '_sum', by, where)} / {rate(histogram + '_count', by, where)}"


def share(part: str, whole: str) -> str:
    """`part` of `whole`, from 0 to 1; 0 while nothing happens at all, instead of a hole."""
    return f"{part} / clamp_min({whole}, 1e-9)"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
